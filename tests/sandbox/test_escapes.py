"""Generated code that wants out: each attack is held, the host is unharmed, the next call works.

Where it does no harm the same attack is run without a sandbox first, and must succeed.
"""

import pytest
from attacks import Attack, inside, is_root, outside
from attacks_files import FILES
from attacks_kernel import KERNEL
from attacks_network import NETWORK
from attacks_processes import PROCESSES
from sandbox_host import Host

ATTACKS: dict[str, Attack] = {**FILES, **NETWORK, **PROCESSES, **KERNEL}


@pytest.mark.parametrize("name", ATTACKS)
def test_held(name, sandbox, host):
    inside(sandbox, ATTACKS[name], host.facts())
    host.unharmed()


@pytest.mark.slow
@pytest.mark.skipif(not is_root(), reason="shows what root can do without a sandbox")
@pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if attack.outside])
def test_succeeds_without_a_sandbox(name):
    with Host() as host:
        outside(ATTACKS[name], host)


def test_there_are_at_least_forty():
    assert len(ATTACKS) >= 40
