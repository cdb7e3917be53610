"""Attacks on the host's files, devices and secrets."""

from attacks import Attack

READS = """
def read(path):
    text = open(path, "rb").read()
    assert text
    return text
"""

FILES = {
    "a file that anybody may read": Attack(READS + 'attempt(read, host["file"])'),
    "a file of the home": Attack(READS + 'attempt(read, host["home_file"])'),
    "passwords": Attack(READS + 'attempt(read, "/etc/shadow")'),
    "the host's users": Attack("""
users = {line.split(":")[0] for line in open("/etc/passwd")}
if users - {"root", "nobody"}:
    escaped(users)
"""),
    "folders of the system": Attack("""
for path in ("/var/log", "/var/lib", "/run", "/boot", "/srv", "/mnt", "/etc/ssh", "/var/tmp"):
    if os.path.exists(path):
        attempt(lambda path=path: os.listdir(path)[0])
"""),
    "climbing out of /work": Attack(READS + 'attempt(read, "../" * 20 + host["file"])'),
    "through /proc/PID/root": Attack("""
for pid in [*processes(), "self", "thread-self"]:
    for door in ("root", "cwd"):
        attempt(lambda: open(f"/proc/{pid}/{door}{host['file']}").read())
        attempt(lambda: open(f"/proc/{pid}/{door}/../../../../../..{host['file']}").read())
"""),
    "through a link": Attack("""
os.symlink(host["file"], "link")
attempt(lambda: open("link").read())
os.symlink("/proc/1/root" + host["file"], "deep")
attempt(lambda: open("deep").read())
"""),
    "through a hard link": Attack('attempt(os.link, host["file"], "/tmp/link")', outside=False),
    "the environment": Attack("""
texts = [str(os.environ)]
for pid in [*processes(), "self"]:
    for name in ("environ", "cmdline"):
        try:
            texts.append(open(f"/proc/{pid}/{name}", "rb").read().decode(errors="replace"))
        except OSError:
            pass
if any("".join(host["secret"]) in text for text in texts):
    escaped("environment")
"""),
    "descriptors that the program left open": Attack("""
for number in range(3, 256):
    attempt(os.fstat, number)
"""),
    "descriptors of other processes": Attack("""
for pid in processes():
    if pid != os.getpid():
        for name in os.listdir(f"/proc/{pid}/fd"):
            attempt(lambda: os.open(f"/proc/{pid}/fd/{name}", os.O_RDONLY))
"""),
    "memory of other processes": Attack("""
for pid in processes():
    if pid != os.getpid():
        attempt(lambda: open(f"/proc/{pid}/mem", "r+b"))
"""),
    "settings of the kernel": Attack("""
for path in ("kernel/hostname", "kernel/core_pattern", "vm/overcommit_memory", "kernel/modprobe"):
    def rewrite():
        text = open(f"/proc/sys/{path}").read()
        with open(f"/proc/sys/{path}", "w") as file:
            file.write(text)
    attempt(rewrite)
"""),
    "the magic key": Attack('attempt(open, "/proc/sysrq-trigger", "w")', outside=False),
    "the kernel's memory": Attack("""
for path in ("/proc/kcore", "/dev/mem", "/dev/kmsg", "/proc/kmsg"):
    attempt(os.open, path, os.O_RDONLY | os.O_NONBLOCK)
"""),
    "/sys": Attack('attempt(lambda: os.listdir("/sys")[0])'),
    "devices": Attack("""
allowed = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "stdin", "stdout", "stderr"}
for name in set(os.listdir("/dev")) - allowed:
    path = f"/dev/{name}"
    if stat.S_ISBLK(os.stat(path).st_mode) or stat.S_ISCHR(os.stat(path).st_mode):
        attempt(os.open, path, os.O_RDONLY | os.O_NONBLOCK)
"""),
    "a device of one's own": Attack(
        """
path = f"device-{os.getpid()}"
os.mknod(path, stat.S_IFBLK | 0o666, os.makedev(*host["disk"]))
attempt(lambda: os.read(os.open(path, os.O_RDONLY), 512))
""",
        outside=False,
    ),
    "writing to the system and to Python": Attack("""
import speciale
folders = ["/", "/etc", "/usr/bin", "/usr/lib", sysconfig.get_path("purelib")]
folders += [os.path.dirname(os.__file__), os.path.dirname(speciale.__file__)]
for folder in folders:
    def write():
        path = f"{folder}/.probe-{os.getpid()}"
        open(path, "w").close()
        os.unlink(path)
    attempt(write)
"""),
    "changing the mode of what is there": Attack("""
for path in ("/usr/bin/env", "/etc/hosts", os.__file__):
    attempt(lambda: os.chmod(path, os.stat(path).st_mode))
    attempt(lambda: os.utime(path))
"""),
    "changing a file by its name": Attack("""
path = host["file"]
attempt(os.chmod, path, 0o644)
attempt(os.chown, path, os.getuid(), os.getgid())
attempt(os.utime, path)
attempt(os.setxattr, path, "user.probe", b"x")
attempt(os.truncate, path, 16)
"""),
    "a file by its handle": Attack("""
class Handle(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint), ("kind", ctypes.c_int), ("data", ctypes.c_char * 128)]
handle, mount = Handle(size=128), ctypes.c_int()
root = os.open("/usr", os.O_RDONLY)
call("name_to_handle_at", root, b"bin", ctypes.byref(handle), ctypes.byref(mount), 0)
call("open_by_handle_at", root, ctypes.byref(handle), os.O_RDONLY)
escaped("opened by its handle")
"""),
    "breaking out of a chroot": Attack(
        """
os.mkdir("cage")
os.chroot("cage")
for _ in range(20):
    os.chdir("..")
os.chroot(".")
attempt(lambda: open(host["file"]).read())
"""
    ),
}
