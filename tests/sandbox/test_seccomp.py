"""The filter of system calls, read by an interpreter of its own, and its numbers against the
kernel's headers.
"""

import re
import struct
from errno import EAFNOSUPPORT, ENOSYS, EPERM
from pathlib import Path

import pytest

from speciale.sandbox import SandboxError, seccomp

MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOW, KILL = "allow", "kill"


def verdict(program, number, *arguments, architecture):
    """What the kernel would do (Documentation/networking/filter.rst), for the few operations used.
    A jump out of the program or a missing return is an IndexError."""
    words = [argument & (1 << 64) - 1 for argument in (*arguments, *[0] * 6)][:6]
    data = struct.pack("<IIQ6Q", number & 0xFFFFFFFF, architecture, 0, *words)
    lines = list(struct.iter_unpack("=HBBI", program))
    at, value = 0, 0
    while True:
        operation, if_true, if_false, operand = lines[at]
        at += 1
        match operation:
            case 0x20:
                value = struct.unpack_from("<I", data, operand)[0]
            case 0x54:
                value &= operand
            case 0x15:
                at += if_true if value == operand else if_false
            case 0x35:
                at += if_true if value >= operand else if_false
            case 0x45:
                at += if_true if value & operand else if_false
            case 0x06:
                return {0x7FFF0000: ALLOW, 0x80000000: KILL}.get(operand, operand & 0xFFFF)
            case _:
                raise AssertionError(f"operation {operation:#x}")


def filtered(machine="x86_64", namespaces=True, same_user=False):
    program = seccomp.program(namespaces=namespaces, same_user=same_user, machine=machine)

    def ask(number, *arguments, architecture=MACHINES[machine]):
        return verdict(program, number, *arguments, architecture=architecture)

    return ask


def rows(table):
    words = table.split()
    return [
        (name, None if x == "-" else int(x), None if a == "-" else int(a))
        for name, x, a in zip(words[::3], words[1::3], words[2::3], strict=True)
    ]


@pytest.mark.parametrize("machine", MACHINES)
def test_every_number_gets_its_answer(machine):
    ask, column = filtered(machine), list(MACHINES).index(machine)
    denied = {row[1 + column] for row in rows(seccomp.DENIED)}
    absent = {row[1 + column] for row in rows(seccomp.ABSENT)}
    conditional = {numbers[column] for numbers in seccomp.CONDITIONAL.values()}
    for number in range(1000):
        if number in conditional:
            continue
        expected = EPERM if number in denied else ALLOW
        if number in absent or number >= 457:
            expected = ENOSYS
        assert ask(number) == expected, number


@pytest.mark.parametrize("machine", MACHINES)
def test_other_tables_of_calls_are_death(machine):
    ask = filtered(machine)
    assert ask(0, architecture=0x40000003) == KILL  # i386
    assert ask(0, architecture=list(MACHINES.values())[machine == "x86_64"]) == KILL
    for number in (0x40000000, 0x40000000 | 39, 0xFFFFFFFF):
        assert ask(number) == KILL


def test_arguments():
    ask = filtered()
    clone, socket, pair, ioctl, personality = 56, 41, 53, 16, 135
    assert ask(clone, 17) == ask(clone, 0x003D0F00) == ALLOW  # fork, and a thread of glibc
    for bit in (17, 25, 26, 27, 28, 29, 30):
        assert ask(clone, 1 << bit | 17) == EPERM
    assert (
        ask(socket, 1, 2 | 0o2000000, 0) == ask(socket, 2, 1, 6) == ask(socket, 10, 2, 17) == ALLOW
    )
    assert ask(socket, 2, 2 | 0o4000, 0) == ALLOW
    for family in (0, 3, 16, 17, 38, 40, 1 << 31):
        assert ask(socket, family, 1, 0) == EAFNOSUPPORT
    for kind, protocol in ((3, 0), (5, 0), (6, 0), (1, 132), (2, 136), (2, 1), (10, 0), (1, 262)):
        assert ask(socket, 2, kind, protocol) == EPERM
    assert ask(pair, 1, 1, 0) == ALLOW and ask(pair, 2, 1, 0) == EAFNOSUPPORT
    # The kernel takes the low half of a request, so a high half must not hide one.
    for request in (0x5412, 0x541C, 0x5423):
        assert ask(ioctl, 1, request) == ask(ioctl, 1, request | 1 << 32) == EPERM
    assert ask(ioctl, 1, 0x5401) == ALLOW
    assert ask(personality, 0) == ask(personality, 0xFFFFFFFF) == ALLOW
    assert ask(personality, 0x40000) == EPERM
    setrlimit, prlimit, core = 160, 302, 4
    assert ask(setrlimit, core, 1) == ask(prlimit, 0, core, 1) == EPERM
    assert ask(prlimit, 0, core, 1 << 32) == EPERM
    assert ask(setrlimit, 7, 1) == ask(prlimit, 0, 7, 1) == ask(prlimit, 0, core, 0, 1) == ALLOW


def test_without_namespaces():
    ask, own = filtered(namespaces=False), filtered(namespaces=False, same_user=True)
    chmod, utimensat, prlimit = 90, 280, 302
    assert ask(41, 1, 1, 0) == own(41, 1, 1, 0) == own(41, 2, 1, 0) == EAFNOSUPPORT
    assert ask(chmod) == ALLOW and own(chmod) == own(452) == EPERM
    assert ask(utimensat, 3, 5) == ALLOW
    assert own(utimensat, 3, 0) == ALLOW
    assert own(utimensat, 3, 5) == own(utimensat, 3, 1 << 32) == EPERM
    assert own(prlimit, 0, 7, 1) == ALLOW and own(prlimit, 99, 7, 1) == EPERM
    assert own(prlimit, 0, 4, 1) == EPERM and own(prlimit, 0, 4, 0) == ALLOW


def test_another_machine_is_refused():
    with pytest.raises(SandboxError, match="not for riscv64"):
        seccomp.program(namespaces=True, same_user=False, machine="riscv64")


HEADERS = {
    1: Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    2: Path("/usr/include/asm-generic/unistd.h"),
}


@pytest.mark.parametrize("column", HEADERS)
def test_numbers_are_the_kernel_s(column):
    if not HEADERS[column].exists():
        pytest.skip("the kernel's headers are not installed")
    text = HEADERS[column].read_text()
    known = {
        name: int(number)
        for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)
    }
    conditional = [(name, *numbers) for name, numbers in seccomp.CONDITIONAL.items()]
    checked = 0
    for row in (*rows(seccomp.DENIED + seccomp.ABSENT + seccomp.BY_NAME), *conditional):
        if row[0] in known:  # newer calls may be missing there
            assert row[column] == known[row[0]], row
            checked += 1
        else:
            assert row[column] is None or row[column] > 450, row
    assert checked > 80
