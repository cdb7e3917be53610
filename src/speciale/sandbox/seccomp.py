"""The system calls that generated code may not make, as a BPF program for the kernel.

seccomp(2) with SECCOMP_MODE_FILTER and linux/filter.h; two columns of numbers, since x86-64 has a
table of its own and aarch64 the common one of asm-generic/unistd.h.
"""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Iterable

from speciale.sandbox.limits import SandboxError

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # linux/audit.h

# With capabilities in a namespace of one's own most of these reach code of the kernel that few have
# read; nobody has any here, so the list is the second bolt. The third group matters by itself:
# memory that no process's page tables show, which the supervisor could not count.
DENIED = """
mount 165 40            umount2 166 39          pivot_root 155 41       chroot 161 51
open_tree 428 428       move_mount 429 429      fsopen 430 430          fsconfig 431 431
fsmount 432 432         fspick 433 433          mount_setattr 442 442   unshare 272 97
setns 308 268           quotactl 179 60         quotactl_fd 443 443     swapon 167 224
swapoff 168 225         name_to_handle_at 303 264                       open_by_handle_at 304 265
fanotify_init 300 262   acct 163 89             reboot 169 142          kexec_load 246 104
kexec_file_load 320 294 init_module 175 105     finit_module 313 273    delete_module 176 106
sethostname 170 161     setdomainname 171 162   settimeofday 164 170    clock_settime 227 112
clock_adjtime 305 266   adjtimex 159 171        syslog 103 116          vhangup 153 58
iopl 172 -              ioperm 173 -            modify_ldt 154 -        uselib 134 -
sysfs 139 -             ustat 136 -             _sysctl 156 -           lookup_dcookie 212 18
nfsservctl 180 42

ptrace 101 117          process_vm_readv 310 270                        process_vm_writev 311 271
process_madvise 440 440 pidfd_getfd 438 438     kcmp 312 272            migrate_pages 256 238
move_pages 279 239      bpf 321 280             perf_event_open 298 241 userfaultfd 323 282
add_key 248 217         request_key 249 218     keyctl 250 219

shmget 29 194           shmat 30 196            shmctl 31 195           shmdt 67 197
msgget 68 186           msgsnd 69 189           msgrcv 70 188           msgctl 71 187
semget 64 190           semop 65 193            semctl 66 191           semtimedop 220 192
mq_open 240 180         mq_unlink 241 181       vmsplice 278 75
"""

# Programs do without these when they are told that the kernel has none.
ABSENT = """
clone3 435 435          memfd_create 319 279    memfd_secret 447 447    io_uring_setup 425 425
io_uring_enter 426 426  io_uring_register 427 427
"""
UNKNOWN = 457  # from here on newer than this list, so absent as well

# Without namespaces, and as the user that the program itself has, a command could reach files and
# processes of that user by their names; Landlock leaves these calls alone.
BY_NAME = """
chmod 90 -              fchmodat 268 53         fchmodat2 452 452       chown 92 -
lchown 94 -             fchownat 260 54         setxattr 188 5          lsetxattr 189 6
removexattr 197 14      lremovexattr 198 15     utime 132 -             utimes 235 -
futimesat 261 -         setpriority 141 140     sched_setscheduler 144 119
sched_setparam 142 118  sched_setattr 314 274   sched_setaffinity 203 122
ioprio_set 251 30
"""

CONDITIONAL = {
    "clone": (56, 220), "socket": (41, 198), "socketpair": (53, 199), "ioctl": (16, 29),
    "personality": (135, 92), "utimensat": (280, 88), "prlimit64": (302, 261),
    "setrlimit": (160, 164),
}  # fmt: skip

NEW_NAMESPACES = 0x7E020000  # CLONE_NEW*: cgroup, uts, ipc, user, pid, net and mount
UNIX, INET, INET6 = 1, 2, 10
STREAM, DATAGRAM, KIND = 1, 2, 0xFF  # the kind of a socket; flags stand above it
TCP, UDP = 6, 17
TIOCSTI, TIOCLINUX, TIOCSETD = 0x5412, 0x541C, 0x5423  # type into, paste into, reprogram a terminal
QUERY_PERSONALITY = 0xFFFFFFFF
CORE = 4  # RLIMIT_CORE

LOAD, AND, EQUAL, ABOVE, BITS, RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
KILL, ALLOW, ERROR = 0x80000000, 0x7FFF0000, 0x00050000
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
X32 = 1 << 30  # on x86-64 the bit of another table

Line = tuple[int, int, int, int]  # operation, lines to skip if true, if false, operand
_ALLOWED: Line = (RETURN, 0, 0, ALLOW)


def program(*, namespaces: bool, same_user: bool, machine: str = platform.machine()) -> bytes:
    """The filter for commands in `namespaces` or without, of the program's own user or another.
    SandboxError on a machine whose numbers are not here."""
    if machine not in ARCHITECTURES:
        known = " and ".join(ARCHITECTURES)
        raise SandboxError(f"there is a filter of system calls for {known}, not for {machine}")
    column = list(ARCHITECTURES).index(machine)
    code = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, ARCHITECTURES[machine]),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER),
        *_answer(ABOVE, X32, KILL),
        *_each(_numbers(DENIED + BY_NAME * same_user, column), _errno("EPERM")),
        *_each(_numbers(ABSENT, column), _errno("ENOSYS")),
        *_answer(ABOVE, UNKNOWN, _errno("ENOSYS")),
    ]
    for name, body in _conditions(namespaces, same_user).items():
        code += [(EQUAL, 0, len(body), CONDITIONAL[name][column]), *body]
    code.append(_ALLOWED)
    return b"".join(struct.pack("=HBBI", *line) for line in code)


def _conditions(namespaces: bool, same_user: bool) -> dict[str, list[Line]]:
    """What is done with calls that depend on an argument; each body ends with a return."""
    bodies = {
        "clone": [_argument(0), *_answer(BITS, NEW_NAMESPACES, _errno("EPERM")), _ALLOWED],
        "socket": _sockets() if namespaces else [(RETURN, 0, 0, _errno("EAFNOSUPPORT"))],
        "socketpair": _only((UNIX,), "EAFNOSUPPORT", _argument(0)),
        "personality": _only((0, QUERY_PERSONALITY), "EPERM", _argument(0)),
        "ioctl": [
            _argument(1),
            *_each((TIOCSTI, TIOCLINUX, TIOCSETD), _errno("EPERM")),
            _ALLOWED,
        ],
    }
    # The limit on core files keeps crashes from the host's collector of them, which is root: see
    # inside/confine.py. It may be asked for.
    bodies["setrlimit"] = [_argument(0), *_answer(EQUAL, CORE, _errno("EPERM")), _ALLOWED]
    bodies["prlimit64"] = [_argument(1), (EQUAL, 0, 6, CORE), *_only_null(2), _ALLOWED]
    if same_user:
        # With no name utimensat means an open file, with 0 prlimit64 means the caller.
        bodies["utimensat"] = _only_null(1)
        another = [_argument(0), (EQUAL, 1, 0, 0), (RETURN, 0, 0, _errno("EPERM"))]
        bodies["prlimit64"] = [*another, *bodies["prlimit64"]]
    return bodies


def _only_null(argument: int) -> list[Line]:
    """Allows no pointer but the null one."""
    return [
        _argument(argument), (EQUAL, 0, 2, 0), _argument(argument, high=True), (EQUAL, 1, 0, 0),
        (RETURN, 0, 0, _errno("EPERM")), _ALLOWED,
    ]  # fmt: skip


def _sockets() -> list[Line]:
    """Local ones, TCP and UDP: others may have the kernel load a module that few have read."""
    unix = [_argument(0), *_answer(EQUAL, UNIX, ALLOW)]
    internet = [(EQUAL, 2, 0, INET), (EQUAL, 1, 0, INET6), (RETURN, 0, 0, _errno("EAFNOSUPPORT"))]
    kinds = [
        _argument(1), (AND, 0, 0, KIND), (EQUAL, 2, 0, STREAM), (EQUAL, 1, 0, DATAGRAM),
        (RETURN, 0, 0, _errno("EPERM")),
    ]  # fmt: skip
    return [*unix, *internet, *kinds, *_only((0, TCP, UDP), "EPERM", _argument(2))]


def _errno(name: str) -> int:
    return ERROR | getattr(errno, name)


def _argument(number: int, high: bool = False) -> Line:
    """Loads half of an argument. Where the kernel takes an int it looks at the low half alone."""
    return LOAD, 0, 0, ARGUMENTS + 8 * number + 4 * high


def _answer(test: int, operand: int, answer: int) -> list[Line]:
    return [(test, 0, 1, operand), (RETURN, 0, 0, answer)]


def _each(operands: Iterable[int], answer: int) -> list[Line]:
    return [line for operand in operands for line in _answer(EQUAL, operand, answer)]


def _only(allowed: Iterable[int], error: str, load: Line) -> list[Line]:
    return [load, *_each(allowed, ALLOW), (RETURN, 0, 0, _errno(error))]


def _numbers(table: str, column: int) -> list[int]:
    return [int(word) for word in table.split()[1 + column :: 3] if word != "-"]
