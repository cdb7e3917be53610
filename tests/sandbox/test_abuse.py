"""Generated code that takes too much: memory, processes, disk, output, time. The limit that ends it
is named, the machine does not feel it, the next call works.
"""

import asyncio
import secrets

import pytest
from sandbox_host import running

from speciale.sandbox import Limits

SMALL = Limits(
    memory_mb=128, cpu_s=10, processes=16, file_mb=8, disk_mb=16, output_kb=64, wall_s=20
)


def python(sandbox, script, limits=SMALL, **more):
    """The outcome of a Python script, once a call after it has worked as well."""

    async def both():
        first = await sandbox.run(["python3", "-c", script], limits=limits, **more)
        return first, await sandbox.run("echo still here")

    outcome, after = asyncio.run(both())
    assert after.stdout == b"still here\n"
    return outcome


# --- memory ---------------------------------------------------------------------------------------


def test_memory_of_one_process_is_refused(sandbox):
    outcome = python(sandbox, "x = bytearray(1 << 30)")
    assert outcome.stdout == b"" and b"MemoryError" in outcome.stderr


FILL = """
import mmap, os, sys, time
def fill(megabytes):
    held = mmap.mmap(-1, megabytes << 20, flags=mmap.{kind} | mmap.MAP_ANONYMOUS)
    for place in range(0, megabytes << 20, 4096):
        held[place] = 1
    return held
"""
MEMORY = {
    "many processes, each within its limit": """
for _ in range(8):
    if os.fork() == 0:
        held = fill(64)
        time.sleep(60)
time.sleep(60)
""",
    "shared memory that rlimits do not count": "held = fill(512); time.sleep(60)",
    "memory that only orphans hold": """
for _ in range(4):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            held = fill(50)
            time.sleep(60)
        os._exit(0)
time.sleep(60)
""",
    "page tables": """
held = [mmap.mmap(-1, 1 << 40, flags=mmap.MAP_PRIVATE | 0x4000, prot=mmap.PROT_READ)]
for place in range(0, 1 << 40, 2 << 20):
    held[0][place]
time.sleep(60)
""",
    "sockets": """
import socket
held = []
def hold():
    while True:
        try:
            pair = socket.socketpair()
            held.append(pair)
            pair[0].setblocking(False)
            while True:
                pair[0].send(bytes(100_000))
        except BlockingIOError:
            pass
        except OSError:
            return
for _ in range(8):
    if os.fork() == 0:
        break
hold()
time.sleep(60)
""",
}


@pytest.mark.parametrize("name", MEMORY)
def test_memory_is_counted_over_all_processes(name, sandbox):
    kind = "MAP_SHARED" if name.startswith("shared") else "MAP_PRIVATE"
    outcome = python(sandbox, FILL.format(kind=kind) + MEMORY[name])
    assert outcome.stopped == "memory", outcome
    assert outcome.exit_code == 137


def test_pages_that_processes_share_count_once(sandbox):
    script = (
        FILL.format(kind="MAP_PRIVATE")
        + """
held = fill(80)
for _ in range(6):
    if os.fork() == 0:
        time.sleep(0.4)
        os._exit(0)
for _ in range(6):
    os.wait()
print("done")
"""
    )
    assert python(sandbox, script).stdout == b"done\n"


# --- processes and descriptors --------------------------------------------------------------------


def test_a_fork_bomb_gets_no_more_than_its_processes(sandbox):
    marker = secrets.token_hex(8)
    script = f"""
import os, time  # {marker}
while True:
    try:
        os.fork()
    except OSError:
        time.sleep(60)
"""

    async def bomb():
        task = asyncio.create_task(
            sandbox.run(["python3", "-c", script], limits=Limits(processes=16, wall_s=1.5))
        )
        most = 0
        while not task.done():
            most = max(most, len(running(marker)))
            await asyncio.sleep(0.05)
        return await task, most

    outcome, most = asyncio.run(bomb())
    assert outcome.stopped == "wall"
    assert 10 < most <= 16 + 1
    assert running(marker) == []


def test_a_bomb_of_bash(sandbox):
    outcome = asyncio.run(
        sandbox.run(":(){ :|:& };: ; sleep 30", limits=Limits(processes=16, wall_s=1))
    )
    assert b"fork" in outcome.stderr and outcome.stopped in ("wall", None)


def test_threads_count(sandbox):
    script = """
import threading, time
for count in range(100):
    try:
        threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
    except RuntimeError:
        break
print(count)
"""
    assert int(python(sandbox, script).stdout) < 16


def test_cells_do_not_share_their_processes(sandbox):
    busy = "for i in $(seq 12); do sleep 1 & done; wait; echo done"

    async def several():
        return await asyncio.gather(*(sandbox.run(busy, limits=SMALL) for _ in range(4)))

    assert [outcome.stdout for outcome in asyncio.run(several())] == [b"done\n"] * 4


def test_descriptors_run_out(sandbox):
    script = """
import os
try:
    while True:
        last = os.open("/dev/null", os.O_RDONLY)
except OSError as error:
    print(last, error.errno)
"""
    assert python(sandbox, script).stdout == b"255 24\n"


# --- disk -----------------------------------------------------------------------------------------

PLACES = ("/work", "/tmp", "/dev/shm")


@pytest.mark.parametrize("place", PLACES)
def test_one_file_too_large(place, sandbox):
    outcome = asyncio.run(sandbox.run(f"exec head -c 20M /dev/zero > {place}/big", limits=SMALL))
    assert (outcome.stopped, outcome.exit_code) == ("file", 153)


def test_many_files_fill_the_disk_of_all_places_together(sandbox):
    script = f"""
import errno
total = 0
try:
    for number in range(100):
        for place in {PLACES}:
            with open(f"{{place}}/file-{{number}}", "wb", 0) as file:
                total += file.write(bytes(1 << 20))
except OSError as error:
    assert error.errno == errno.ENOSPC
print(total >> 20)
"""
    assert int(python(sandbox, script).stdout) <= 16


def test_empty_files_run_out_too(sandbox):
    script = """
import os
try:
    for number in range(100_000):
        os.mkdir(f"folder-{number}") if number % 2 else open(f"file-{number}", "w").close()
except OSError as error:
    print(number, error.errno)
"""
    count, code = python(sandbox, script).stdout.split()
    assert 16 * 100 < int(count) < 16 * 130 and code == b"28"


def test_a_disk_that_is_full_is_empty_again_for_the_next(sandbox):
    asyncio.run(sandbox.run("for i in 1 2 3; do head -c 7M /dev/zero > $i; done", limits=SMALL))
    after = asyncio.run(sandbox.run("ls -A /work /tmp /dev/shm; df --output=used /work"))
    assert after.stdout.split() == b"/dev/shm: /tmp: /work: Used 0".split()


# --- output ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["yes", "yes >&2", "yes & yes >&2", "trap '' TERM PIPE; yes"])
def test_endless_output(command, sandbox):
    outcome = asyncio.run(sandbox.run(command, limits=SMALL))
    assert outcome.stopped == "output"
    assert len(outcome.stdout) + len(outcome.stderr) == 64 << 10
    assert set((outcome.stdout + outcome.stderr).splitlines()) == {b"y"}


def test_as_much_output_as_is_allowed(sandbox):
    outcome = asyncio.run(sandbox.run("head -c 64K /dev/zero", limits=SMALL))
    assert (len(outcome.stdout), outcome.stopped) == (64 << 10, None)
    outcome = asyncio.run(sandbox.run("head -c 65537 /dev/zero", limits=SMALL))
    assert (len(outcome.stdout), outcome.stopped) == (64 << 10, "output")


# --- time -----------------------------------------------------------------------------------------

BRIEF = Limits(cpu_s=0.5, wall_s=30, processes=16)
CPU = {
    "one process": "while True: pass",
    "several": """
import os
os.fork(); os.fork(); os.fork()
while True: pass
""",
    "one that deals with the warning": """
import signal
signal.signal(signal.SIGXCPU, signal.SIG_IGN)
while True: pass
""",
    "children that nobody waits for": """
import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
while True:
    ended, end = os.pipe()
    if os.fork() == 0:
        until = time.process_time() + 0.3
        while time.process_time() < until: pass
        os._exit(0)
    os.close(end)
    os.read(ended, 1)  # one after the other
    os.close(ended)
""",
    "children too short to be seen": """
import os
while True:
    if os.fork() == 0:
        for _ in range(100_000): pass
        os._exit(0)
    os.wait()
""",
    "orphans too short to be seen": """
import os
while True:
    ended, end = os.pipe()
    if os.fork() == 0:
        if os.fork() == 0:
            for _ in range(100_000): pass
        os._exit(0)
    os.close(end)
    os.wait()
    os.read(ended, 1)
    os.close(ended)
""",
}


@pytest.mark.parametrize("name", CPU)
def test_cpu_time_is_counted_over_all_processes(name, sandbox):
    outcome = python(sandbox, CPU[name], BRIEF)
    assert outcome.stopped == "cpu", outcome


QUICK = Limits(wall_s=0.5, processes=16)
WALL = {
    "sleeping": "sleep 100",
    "deaf to SIGTERM": "trap '' TERM HUP INT; while :; do sleep 1; done",
    "with nothing to say": "exec <&- >&- 2>&-; sleep 100",
    "stopped": "kill -STOP $$",
    "stopped with children": "for i in 1 2 3; do (kill -STOP $BASHPID) & done; wait",
    "waiting for input": "cat",
}


@pytest.mark.parametrize("name", WALL)
def test_wall_time(name, sandbox):
    if name == "waiting for input":

        async def waits():
            async with sandbox.session(QUICK) as session:
                spawned = await session.spawn("cat")
                outcome = await session.run("sleep 100")
                spawned.kill()
                return outcome, await spawned.wait()

        outcome, code = asyncio.run(waits())
        assert code == 137
    else:
        outcome = asyncio.run(sandbox.run(WALL[name], limits=QUICK))
    assert outcome.stopped == "wall"


def test_sigterm_comes_before_sigkill(sandbox):
    command = "trap 'echo goodbye; exit 3' TERM; while :; do sleep 0.05; done"
    outcome = asyncio.run(sandbox.run(command, limits=QUICK))
    assert (outcome.stdout, outcome.exit_code, outcome.stopped) == (b"goodbye\n", 3, "wall")


# --- what is left behind --------------------------------------------------------------------------

DAEMONS = {
    "in the background": "sleep 1000 {0} & disown",
    "in a session of its own": "setsid -f sleep 1000 {0}",
    "forked twice": "(setsid sh -c 'sleep 1000 {0} & exit' &) ; sleep 0.1",
    "deaf": "(trap '' TERM HUP; nohup setsid -f sh -c 'sleep 1000; sleep 1000 {0}') >&-",
    "with its output closed": "setsid -f sh -c 'exec sleep 1000 {0}' <&- >&- 2>&-; sleep 0.1",
}


@pytest.mark.parametrize("name", DAEMONS)
def test_daemons_end_with_the_command(name, sandbox):
    # An argument that sleep adds to its time, and that only this test has.
    marker = f"0.{secrets.randbelow(10**15)}"
    outcome = asyncio.run(sandbox.run(DAEMONS[name].format(marker) + "; echo started"))
    assert outcome.stdout.endswith(b"started\n") and outcome.stopped is None
    assert running(marker) == []


def test_input_that_nobody_reads(sandbox):
    outcome = asyncio.run(sandbox.run("echo done", stdin=bytes(10_000_000)))
    assert (outcome.stdout, outcome.exit_code) == (b"done\n", 0)


def test_a_tree_of_folders_too_deep_to_name(sandbox):
    script = """
import os
for _ in range(1000):
    os.mkdir("x" * 200)
    os.chdir("x" * 200)
print("deep")
"""
    assert python(sandbox, script).stdout == b"deep\n"
