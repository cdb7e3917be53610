"""Attacks on the kernel: its mounts, its rare calls, its other tables of calls."""

import platform

from attacks import Attack, refused_calls

COLUMN = {"x86_64": 0, "aarch64": 1}[platform.machine()]


def calls(*rows):
    return [[name, numbers[COLUMN], arguments] for name, numbers, *arguments in rows]


KERNEL = {
    "mounting": Attack(
        """
for source, target, kind, flags in (
    (b"none", b"/tmp", b"tmpfs", 0), (b"none", b"/tmp", b"proc", 0),
    (b"none", b"/tmp", b"sysfs", 0), (b"/usr", b"/tmp", None, 4096),
    (b"none", b"/tmp", b"overlay", 0), (None, b"/", None, 1 << 18),
):
    attempt(call, "mount", source, target, kind, ctypes.c_ulong(flags), None)
""",
        mounting=True,
    ),
    "making the system writable": Attack(
        """
for path in (b"/", b"/usr", b"/proc", b"/work"):
    for flags in (32, 32 | 4096):
        attempt(call, "mount", None, path, None, ctypes.c_ulong(flags), None)
""",
        mounting=True,
    ),
    "unmounting": Attack(
        """
for path in (b"/proc", b"/tmp", b"/dev/shm", b"/work", b"/usr"):
    for flags in (0, 2):
        attempt(call, "umount2", path, flags)
""",
        mounting=True,
    ),
    "the new way to mount": refused_calls(
        calls(
            ("fsopen", (430, 430), "tmpfs", 0),
            ("open_tree", (428, 428), -100, "/", 1),
            ("move_mount", (429, 429), -100, "/usr", -100, "/tmp", 0),
            ("fspick", (433, 433), -100, "/", 0),
            ("mount_setattr", (442, 442), -100, "/", 0, None, 0),
        )
    ),
    "another root": refused_calls(
        calls(
            ("pivot_root", (155, 41), "/tmp/nowhere", "/tmp/nowhere"),
            ("chroot", (161, 51), "/nowhere"),
        )
    ),
    "keys": refused_calls(
        calls(
            ("add_key", (248, 217), "user", "sandbox", "x", 1, -3),
            ("request_key", (249, 218), "user", "sandbox", None, -3),
            ("keyctl", (250, 219), 0, -3, 1),
            ("keyctl", (250, 219), 1, None),
        )
    ),
    "code in the kernel": refused_calls(
        calls(
            ("bpf", (321, 280), 99, None, 0),
            ("init_module", (175, 105), None, 0, ""),
            ("finit_module", (313, 273), -1, "", 0),
            ("delete_module", (176, 106), "nothing-of-that-name", 0),
            ("kexec_load", (246, 104), 0, 99, None, 1 << 40),
            ("kexec_file_load", (320, 294), -1, -1, 0, "", 1 << 40),
        )
    ),
    "watching the kernel": refused_calls(
        calls(
            ("perf_event_open", (298, 241), None, 0, -1, -1, 0),
            ("userfaultfd", (323, 282), 1 << 30),
            ("syslog", (103, 116), 10, None, 0),
            ("fanotify_init", (300, 262), 1 << 30, 0),
            ("kcmp", (312, 272), 1, 1, 99, 0, 0),
        )
    ),
    "io_uring": refused_calls(
        calls(
            ("io_uring_setup", (425, 425), 0, None),
            ("io_uring_enter", (426, 426), -1, 0, 0, 0, None, 0),
            ("io_uring_register", (427, 427), -1, 99, None, 0),
        )
    ),
    "the machine's business": refused_calls(
        calls(
            ("reboot", (169, 142), 0, 0, 0, None),
            ("swapon", (167, 224), None, 0),
            ("acct", (163, 89), "/nowhere"),
            ("sethostname", (170, 161), "x", -1),
            ("setdomainname", (171, 162), "x", -1),
            ("settimeofday", (164, 170), None, None),
            ("clock_settime", (227, 112), 99, None),
            ("adjtimex", (159, 171), None),
            ("quotactl", (179, 60), 1 << 30, None, 0, None),
            ("open_by_handle_at", (304, 265), -1, None, 0),
        )
    ),
    "memory that no process shows": refused_calls(
        calls(
            ("memfd_create", (319, 279), "x", 0),
            ("shmget", (29, 194), 0, 4096, 0o1600),
            ("msgget", (68, 186), 0, 0o1600),
            ("semget", (64, 190), 0, 1, 0o1600),
            ("mq_open", (240, 180), "x", 0o102, 0o600, None),
            ("vmsplice", (278, 75), -1, None, 0, 0),
        )
    ),
    "calls newer than the list": Attack(
        """
libc.syscall.restype = ctypes.c_long
for number in range(457, 600):
    result = libc.syscall(ctypes.c_long(number), ctypes.c_long(-1), None, None, None, None, None)
    if result >= 0 or ctypes.get_errno() != errno.ENOSYS:
        escaped(number)
"""
    ),
    "typing into a terminal": Attack(
        """
import fcntl
def type_into():
    os.setsid()
    leader, terminal = os.openpty()
    fcntl.ioctl(terminal, 0x540E, 0)
    for request in (0x5412, 0x541C):
        attempt(fcntl.ioctl, terminal, request, b"x")
    attempt(fcntl.ioctl, terminal, 0x5423, struct.pack("i", 21))
forked(type_into)
""",
        namespaces=True,
    ),
    "another personality": Attack("""
for kind in (0x40000, 0x400000, 8):
    def change():
        call("personality", ctypes.c_ulong(kind))
    forked(attempt, change)
"""),
}

if platform.machine() == "x86_64":
    KERNEL["the calls of 32 bits"] = Attack("""
import mmap
def ask():
    # mov eax, 20 (getpid in that table); int 0x80; ret
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(bytes.fromhex("b814000000cd80c3"))
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    if ctypes.CFUNCTYPE(ctypes.c_int)(address)() == os.getpid():
        escaped("int 0x80")
forked(ask)
""")
    KERNEL["the calls of x32"] = Attack(
        """
def ask():
    if libc.syscall(ctypes.c_long(0x40000000 | 39)) == os.getpid():
        escaped("x32")
forked(ask)
""",
        outside=False,  # most kernels have none
    )
