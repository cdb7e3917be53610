"""Landlock (docs.kernel.org/userspace-api/landlock.html): the kernel refuses this process and its
children every file, port and signal that is not named here. Needs no rights and no namespaces.
"""

from __future__ import annotations

import os
import struct

from . import kernel

NEEDED = 6  # the version that also confines signals and abstract sockets, Linux 6.12

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # system calls, on all architectures
RULE_PATH_BENEATH, VERSION = 1, 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
MAKE_CHAR, MAKE_BLOCK, IOCTL_DEV = 1 << 6, 1 << 11, 1 << 15
ALL_FILES = (1 << 16) - 1
ALL_NETWORK = 0b11  # bind and connect
ALL_SCOPES = 0b11  # abstract sockets and signals

READ = EXECUTE | READ_FILE | READ_DIR
OWN = ALL_FILES & ~(MAKE_CHAR | MAKE_BLOCK | IOCTL_DEV)
RIGHTS = {"read": READ, "list": READ_DIR, "device": READ_FILE | WRITE_FILE, "own": OWN}
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE  # the rest only means something for a folder


def version() -> int:
    """0 where the kernel has none."""
    try:
        return kernel.syscall(CREATE_RULESET, None, 0, VERSION)
    except OSError:
        return 0


def restrict(rules: dict[str, list[str]], folder: str) -> None:
    """`rules`: paths by the name of their right; `folder` is the command's own."""
    handled = struct.pack("QQQ", ALL_FILES, ALL_NETWORK, ALL_SCOPES)
    ruleset = kernel.syscall(CREATE_RULESET, handled, len(handled), 0)
    for right, paths in {**rules, "own": [folder]}.items():
        for path in paths:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            allowed = RIGHTS[right] & (ALL_FILES if os.path.isdir(path) else OF_FILES)
            kernel.syscall(
                ADD_RULE, ruleset, RULE_PATH_BENEATH, struct.pack("=Qi", allowed, place), 0
            )
            os.close(place)
    kernel.syscall(RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
