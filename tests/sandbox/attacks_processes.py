"""Attacks on other processes and on the rights that the own one has."""

from attacks import Attack

PROCESSES = {
    "killing a process of the host": Attack("""
for number in (0, signal.SIGCONT, signal.SIGKILL):
    attempt(os.kill, host["victim"], number)
attempt(signal.pidfd_send_signal, os.pidfd_open(host["victim"]), signal.SIGKILL)
"""),
    "killing its group": Attack('attempt(os.killpg, os.getpgid(host["victim"]), 0)'),
    "killing the supervisor": Attack(
        """
for number in (signal.SIGTERM, signal.SIGSTOP, signal.SIGKILL, signal.SIGSEGV):
    try:
        os.kill(os.getppid(), number)
    except OSError as error:
        print("held:", error)
time.sleep(0.2)
if os.getppid() != 1:
    escaped("the supervisor is gone")
""",
        outside=False,
        namespaces=True,
    ),
    "tracing": Attack("""
def trace(pid):
    call("ptrace", 16, pid, 0, 0)
    os.waitpid(pid, 0)
child = subprocess.Popen(["sleep", "100"])
for pid in {child.pid, os.getppid(), 1}:
    attempt(trace, pid) if pid == child.pid else attempt(call, "ptrace", 0x4206, pid, 0, 0)
child.kill()
"""),
    "reading and writing another's memory": Attack("""
child = subprocess.Popen(["sleep", "100"])
there = int(open(f"/proc/{child.pid}/maps").read().split("-")[0], 16)
class Part(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
buffer = ctypes.create_string_buffer(8)
ours = Part(ctypes.addressof(buffer), 8)
try:
    attempt(call, "process_vm_readv", child.pid, ctypes.byref(ours), 1,
            ctypes.byref(Part(there, 8)), 1, 0)
finally:
    child.kill()
"""),
    "another's descriptors": Attack("""
child = subprocess.Popen(["sleep", "100"])
handle = os.pidfd_open(child.pid)
attempt(call, "syscall", 438, handle, 0, 0)
child.kill()
"""),
    "becoming another user": Attack("""
for user in (0, 1, 1000):
    forked(attempt, os.setuid, user)
    forked(attempt, os.setgid, user)
    forked(attempt, os.setresuid, user, user, user)
forked(attempt, os.setgroups, [0])
"""),
    "programs of root": Attack("""
done = subprocess.run(["su", "-c", "id -u"], capture_output=True, stdin=subprocess.DEVNULL)
if done.stdout.strip() == b"0":
    escaped("su")
"""),
    "a place for programs of root": Attack(
        """
for path in ("/usr/bin", "/work", "/tmp", "/dev/shm", "/", "/python/lib"):
    if os.path.exists(path) and not os.statvfs(path).f_flag & os.ST_NOSUID:
        escaped(path)
""",
        namespaces=True,
    ),
    "rights": Attack(
        """
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
if any(int(status[f"Cap{name}"], 16) for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")):
    escaped({key: value for key, value in status.items() if key.startswith("Cap")})
if status["NoNewPrivs"].strip() != "1" or status["Seccomp"].strip() != "2":
    escaped("unguarded")
if os.getuid() == 0 or os.getgroups() == [0]:
    escaped("root")
""",
        namespaces=True,
    ),
    "getting rights back": Attack(
        """
header, everything = struct.pack("Ii", 0x20080522, 0), bytes([255] * 24)
attempt(call, "capset", header, everything)
attempt(call, "prctl", 47, 2, 21, 0, 0)  # PR_CAP_AMBIENT_RAISE
attempt(call, "prctl", 38, 0, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS off
attempt(call, "prctl", 22, 0, 0, 0, 0)  # PR_SET_SECCOMP off
""",
        outside=False,
    ),
    "namespaces": Attack("""
kinds = {"user": 0x10000000, "mount": 0x20000, "pid": 0x20000000, "net": 0x40000000,
         "ipc": 0x8000000, "uts": 0x4000000, "cgroup": 0x2000000, "time": 0x80}
for kind in kinds.values():
    forked(attempt, call, "unshare", kind)
    forked(attempt, call, "unshare", kind | 0x10000000)
"""),
    "namespaces with clone": Attack("""
def cloned(flags):
    number = {"x86_64": 56, "aarch64": 220}[platform.machine()]
    pid = libc.syscall(number, ctypes.c_long(flags | signal.SIGCHLD), 0, 0, 0, 0)
    if pid < 0:
        raise OSError(ctypes.get_errno(), "clone")
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
for flags in (0x10000000, 0x20000, 0x20000000, 0x40000000, 0x8000000, 0x4000000, 0x2000000):
    attempt(cloned, flags)
    attempt(cloned, flags | 0x10000000)
"""),
    "namespaces with clone3": Attack("""
arguments = struct.pack("11Q", 0x10000000, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, 0)
def cloned():
    pid = libc.syscall(435, arguments, ctypes.c_long(88))
    if pid < 0:
        raise OSError(ctypes.get_errno(), "clone3")
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
attempt(cloned)
"""),
    "joining the namespaces of others": Attack(
        """
for pid in (1, os.getppid(), host["victim"]):
    for kind in ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup"):
        def join():
            handle = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY)
            call("setns", handle, 0)
        forked(attempt, join)
""",
        namespaces=True,
    ),
    "more of everything": Attack("""
for name in ("NPROC", "FSIZE", "NOFILE", "DATA", "CPU", "MEMLOCK"):
    kind = getattr(resource, f"RLIMIT_{name}")
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        attempt(resource.setrlimit, kind, (hard + 1, hard + 1))
    else:
        escaped(f"{name} is not limited")
"""),
    "a crash that the host collects": Attack(
        """
soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
if (soft, hard) != (1, 1):
    escaped((soft, hard))
attempt(resource.setrlimit, resource.RLIMIT_CORE, (0, 0))
attempt(call, "setrlimit", resource.RLIMIT_CORE, struct.pack("QQ", 0, 0))
attempt(resource.prlimit, os.getpid(), resource.RLIMIT_CORE, (0, 1))
"""
    ),
    "before others": Attack("""
attempt(os.setpriority, os.PRIO_PROCESS, 0, -5)
attempt(os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(1))
"""),
    "surviving the machine's need": Attack("""
def survive():
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("0")
attempt(survive)
"""),
}
