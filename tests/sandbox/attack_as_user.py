"""Runs every attack as this process's user in one form of the sandbox: prints JSON, what got out.

setpriv --reuid 12345 --regid 12345 --clear-groups python3 attack_as_user.py bubblewrap
"""

import json
import sys

from attacks import inside
from attacks_files import FILES
from attacks_kernel import KERNEL
from attacks_network import NETWORK
from attacks_processes import PROCESSES
from sandbox_host import Host

from speciale.sandbox import Sandbox

ATTACKS = {**FILES, **NETWORK, **PROCESSES, **KERNEL}


def main(form):
    failed, held = {}, 0
    sandbox = Sandbox(forms=[form])
    with Host() as host:
        for name, attack in ATTACKS.items():
            if attack.namespaces and form != "bubblewrap":
                continue
            try:
                inside(sandbox, attack, host.facts())
                host.unharmed()
                held += 1
            except AssertionError as error:
                failed[name] = str(error)
    sandbox.close()
    print(json.dumps({"held": held, "failed": failed}))


if __name__ == "__main__":
    main(sys.argv[1])
