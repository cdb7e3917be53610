"""For all tests: one thread each, since runs beside each other lose a lot; and a browser."""

import os
import shutil

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
# Read when triton is imported, which torch does too.
os.environ.setdefault("TRITON_INTERPRET", "0" if shutil.which("nvidia-smi") else "1")

# A shared machine may pause at any moment: no example fails for the time it took.
settings.register_profile("speciale", deadline=None)
settings.load_profile("speciale")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="module")
def chromium():
    """A real browser, for pages as people see them."""
    from playwright.sync_api import sync_playwright  # most tests do without

    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert found, "the tests of pages need Chromium: `apt-get install chromium`"
    with sync_playwright() as play:
        # Within a container the user is root, for whom Chromium's own sandbox does not start.
        browser = play.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()
