"""Two small matrices gain nothing from threads, and runs beside each other lose a lot."""

import os

from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shared machine may pause at any moment: no example fails for the time it took.
settings.register_profile("speciale", deadline=None)
settings.load_profile("speciale")
