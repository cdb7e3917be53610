"""What a run notes of this machine."""

import subprocess
import sys

PRINTS = "from speciale.train.machine import peak_memory_mb; print(peak_memory_mb())"
STARTS = f"""
import subprocess, sys
large = bytearray(800_000_000)
subprocess.run([sys.executable, "-c", {PRINTS!r}])
"""


def test_peak_memory_is_of_this_process_not_of_its_parent():
    done = subprocess.run([sys.executable, "-c", STARTS], capture_output=True, text=True)
    assert 50 < float(done.stdout) < 700, done.stderr
