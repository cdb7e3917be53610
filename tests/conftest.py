"""Two small matrices gain nothing from threads, and runs beside each other lose a lot."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
