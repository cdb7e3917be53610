"""How an attack on the sandbox is written, and run: inside, where it must be held, and outside,
where it must succeed, or it would prove nothing.
"""

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass

from speciale.sandbox import Limits

PRELUDE = """
import ctypes, errno, json, os, platform, re, resource, signal, socket, stat, struct, subprocess
import sys, sysconfig, time
host = json.loads(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)

def escaped(what):
    print("ESCAPED", what, flush=True)

def call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)

def attempt(function, *arguments):
    # The result, which is an escape; nothing where the system refused.
    try:
        found = function(*arguments)
    except (OSError, ValueError, IndexError) as error:
        print("held:", error)
    else:
        escaped(f"{function} {arguments} {found}"[:500])

def forked(function, *arguments):
    # In a child, since it may die of it.
    pid = os.fork()
    if pid == 0:
        try:
            function(*arguments)
        finally:
            sys.stdout.flush()
            os._exit(0)
    print("status", os.waitpid(pid, 0)[1])

def processes():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]

def run():
"""
END = "\ntry:\n    run()\nexcept OSError as error:\n    print('held:', error)\nprint('over')\n"


@dataclass(frozen=True)
class Attack:
    """Python that calls `escaped` where it got what it should not.

    `outside`: it does no harm when it succeeds, so that it can be shown to; in a mount namespace of
    its own where it is `mounting`. `namespaces`: without them there is nothing to attack.
    """

    script: str
    outside: bool = True
    mounting: bool = False
    namespaces: bool = False

    @property
    def program(self):
        lines = self.script.strip("\n").splitlines()
        return PRELUDE + "\n".join("    " + line for line in lines) + END


LIMITS = Limits(memory_mb=512, wall_s=20)


def inside(sandbox, attack, facts):
    """Runs it in the sandbox and asserts that it was held and that the next call works."""

    async def both():
        first = await sandbox.run(["python3", "-c", attack.program, facts], limits=LIMITS)
        return first, await sandbox.run("echo still here")

    outcome, after = asyncio.run(both())
    shown = outcome.stdout.decode() + outcome.stderr.decode()
    assert "ESCAPED" not in shown, shown
    assert shown.rstrip().endswith("over"), f"the attack did not get to its end: {shown} {outcome}"
    assert after.stdout == b"still here\n"
    return outcome


def outside(attack, host):
    """Runs it without a sandbox and asserts that it gets what it wants."""
    command = [sys.executable, "-c", attack.program, host.facts()]
    if attack.mounting:
        command = ["unshare", "--mount", *command]
    done = subprocess.run(
        command,
        cwd=host.folder,
        capture_output=True,
        text=True,
        pass_fds=[host.descriptor],
        timeout=60,
    )
    shown = done.stdout + done.stderr
    assert "ESCAPED" in shown or host.was_reached(), f"it proves nothing: {shown}"


def refused_calls(attack_calls):
    """An attack that makes system calls, named with numbers and arguments, that root's kernel would
    look into; EPERM and ENOSYS are the sandbox's refusals, anything else the kernel's own."""
    return Attack(
        f"libc.syscall.restype = ctypes.c_long\n"
        f"for name, number, arguments in {attack_calls!r}:\n"
        "    words = [ctypes.c_long(a) if isinstance(a, int) else a and a.encode() "
        "for a in arguments]\n"
        "    result = libc.syscall(ctypes.c_long(number), *words)\n"
        "    if result >= 0 or ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS):\n"
        "        escaped(f'{name} {result} {ctypes.get_errno()}')\n"
        "    else:\n"
        "        print('held:', name)\n"
    )


def is_root():
    return os.geteuid() == 0
