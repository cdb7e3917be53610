"""Operations for worker_server that do what a scorer may be driven to."""

import os
import sys
import time


def fine(text):
    return text.upper()


def hog():
    return len(bytearray(1 << 31))


def crash():
    os.abort()


def leave():
    sys.exit(3)


def overflow():
    return overflow()


def chatter():
    print("{}" * 100_000)
    sys.stderr.write("x" * 1_000_000)
    os.write(1, b"\x00\x00\x00\x02{}")
    return "said"


def huge():
    return "x" * 5_000_000


def sleep(time_s):
    time.sleep(time_s)


def odd():
    return object()


def meddle():
    """Changes what the next request would see, were it the same process."""
    global fine
    fine = str.lower
