"""One sandbox for the tests of a file: what one test does to it must not show in the next."""

import pytest
from sandbox_host import Host

from speciale.sandbox import Sandbox


@pytest.fixture(scope="module")
def host():
    with Host() as made:
        yield made


@pytest.fixture(scope="module")
def sandbox(host):
    made = Sandbox()
    yield made
    made.close()
