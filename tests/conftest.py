"""Two small matrices gain nothing from threads, and runs beside each other lose a lot."""

import os
import shutil

from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
# Read when triton is imported, which torch does too.
os.environ.setdefault("TRITON_INTERPRET", "0" if shutil.which("nvidia-smi") else "1")

# A shared machine may pause at any moment: no example fails for the time it took.
settings.register_profile("speciale", deadline=None)
settings.load_profile("speciale")
