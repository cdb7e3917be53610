"""What becomes of commands when something ends before its time: the call, the loop, the jail, the
program itself. Nothing is left running, and the next call works.
"""

import asyncio
import gc
import os
import resource
import secrets
import signal
import subprocess
import sys
import threading
import time

import pytest
from sandbox_host import running

from speciale.sandbox import Limits, Sandbox, SandboxError
from speciale.sandbox import call as calls


def marked(seconds=1000):
    """A command line of sleep that no other test has."""
    marker = f"0.{secrets.randbelow(10**15)}"
    return marker, ["sleep", str(seconds), marker]


async def until(condition, seconds=20.0):
    """Waits for it; a machine under load takes its time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        await asyncio.sleep(0.02)


def first_process(jail):
    """The number of the jail's first process, on the host."""
    with open(f"/proc/self/fdinfo/{jail._first}") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pid:"))


def works(sandbox):
    return asyncio.run(sandbox.run("echo works")).stdout == b"works\n"


# --- the call is cancelled ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["run", "stdin", "session", "spawn", "files", "timeout"])
def test_cancelled(kind, sandbox):
    marker, command = marked()

    async def work():
        if kind == "session":
            async with sandbox.session() as session:
                await session.run(command)
        elif kind == "spawn":
            async with sandbox.session() as session:
                await (await session.spawn(command)).wait()
        elif kind == "files":
            await sandbox.run(command, files={"big": bytes(50 << 20)}, limits=Limits(file_mb=64))
        else:
            await sandbox.run(command, stdin=bytes(10 << 20 if kind == "stdin" else 0))

    async def cancel():
        if kind == "timeout":
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await work()
        else:
            task = asyncio.create_task(work())
            await until(lambda: running(marker))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        return running(marker)

    assert asyncio.run(cancel()) == []
    assert works(sandbox)


def test_cancelled_at_any_moment(sandbox):
    """Ends a call after every number of steps that it can have taken."""
    marker, command = marked()

    async def cancel_after(steps):
        task = asyncio.create_task(sandbox.run(command, stdin=b"x", files={"a": b"b"}))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    gc.collect()  # what tests before this one left in cycles
    before = len(os.listdir("/proc/self/fd"))
    for steps in range(1, 12):
        asyncio.run(cancel_after(steps))
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before
    asyncio.run(until(lambda: not running(marker)))
    assert works(sandbox)


# --- the loop ends --------------------------------------------------------------------------------


def test_a_loop_that_is_closed_under_a_call(sandbox):
    marker, command = marked()
    loop = asyncio.new_event_loop()
    task = loop.create_task(sandbox.run(command))
    loop.run_until_complete(until(lambda: running(marker)))
    loop.close()
    task._log_destroy_pending = False  # we know
    del task, loop
    gc.collect()
    asyncio.run(until(lambda: not running(marker)))
    assert works(sandbox)


def test_loops_in_threads(sandbox):
    found, problems = [], []

    def work(number):
        async def several():
            async with sandbox.session() as session:
                await session.write("n", str(number).encode())
                outcomes = await asyncio.gather(*(session.run("cat n") for _ in range(3)))
            found.extend(int(outcome.stdout) for outcome in outcomes)

        try:
            asyncio.run(several())
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == [] and sorted(found) == sorted([*range(6)] * 3)


# --- the jail dies --------------------------------------------------------------------------------


def test_the_first_process_dies_between_calls():
    sandbox = Sandbox()
    for _ in range(3):
        assert works(sandbox)
        os.kill(first_process(sandbox._jail), signal.SIGKILL)
        time.sleep(0.1)
    assert works(sandbox)
    sandbox.close()


def test_cells_that_wait_die():
    sandbox = Sandbox()
    assert works(sandbox)
    first = first_process(sandbox._jail)
    with open(f"/proc/{first}/task/{first}/children") as file:
        waiting = [int(pid) for pid in file.read().split()]
    assert waiting
    for pid in waiting:
        os.kill(pid, signal.SIGKILL)
    time.sleep(0.1)
    assert works(sandbox) and works(sandbox)
    sandbox.close()


def test_the_first_process_dies_under_calls():
    sandbox = Sandbox()
    marker, command = marked()

    async def work():
        async with sandbox.session() as session:
            spawned = await session.spawn(command)
            task = asyncio.create_task(sandbox.run(command))
            await until(lambda: len(running(marker)) == 2)
            os.kill(first_process(sandbox._jail), signal.SIGKILL)
            with pytest.raises(SandboxError, match="ended early"):
                await task
            with pytest.raises(SandboxError, match="ended early"):
                await spawned.wait()
            with pytest.raises(SandboxError, match="could not"):
                await session.run("echo")
        return await sandbox.run("echo works")

    assert asyncio.run(work()).stdout == b"works\n"
    assert running(marker) == []
    sandbox.close()


def test_a_supervisor_that_hangs_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(calls, "LATE_S", 0.5)
    sandbox = Sandbox()
    marker, command = marked()

    async def work():
        task = asyncio.create_task(sandbox.run(command, limits=Limits(wall_s=1)))
        await until(lambda: running(marker))
        with open(f"/proc/{running(marker)[0]}/status") as file:
            parent = next(int(line.split()[1]) for line in file if line.startswith("PPid"))
        os.kill(parent, signal.SIGSTOP)
        with pytest.raises(SandboxError, match="did not end at its limit"):
            await task
        return await sandbox.run("echo works")

    assert asyncio.run(work()).stdout == b"works\n"
    assert running(marker) == []
    sandbox.close()


def test_closed_while_calls_run():
    sandbox = Sandbox()
    marker, command = marked()

    async def work():
        task = asyncio.create_task(sandbox.run(command))
        await until(lambda: running(marker))
        await asyncio.to_thread(sandbox.close)
        with pytest.raises(SandboxError):
            await task

    asyncio.run(work())
    assert running(marker) == [] and works(sandbox)
    sandbox.close()


# --- the program ends -----------------------------------------------------------------------------

PROGRAM = """
import asyncio, multiprocessing, os, signal, sys, time
from speciale.sandbox import default_sandbox
async def main():
    async with default_sandbox().session() as session:
        await session.spawn(["sleep", "1000", sys.argv[1]])
        child = 0
        if sys.argv[2] == "fork":
            # A child that keeps every descriptor open and outlives the program.
            child = os.fork()
            if child == 0:
                os.setsid()
                time.sleep(100)
                os._exit(0)
        print(child, flush=True)
        await default_sandbox().run(["sleep", "1000", sys.argv[1]])
asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("how", ["alone", "fork"])
def test_the_program_is_killed(number, how):
    marker, _ = marked()
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, marker, how],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    child = int(program.stdout.readline())

    async def killed():
        await until(lambda: len(sleeping()) == 2)
        program.send_signal(number)
        program.wait()
        await until(lambda: not sleeping())

    def sleeping():
        return [pid for pid in running(marker) if name(pid) == b"sleep"]

    def name(pid):
        try:
            with open(f"/proc/{pid}/comm", "rb") as file:
                return file.read().strip()
        except OSError:
            return b""

    try:
        asyncio.run(killed())
    finally:
        program.stdout.close()
        if child:
            os.kill(child, signal.SIGKILL)


def test_a_forked_child_gets_a_jail_of_its_own(sandbox):
    assert works(sandbox)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if works(sandbox):
                sandbox.close()
                code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    assert works(sandbox)


# --- nothing is left ------------------------------------------------------------------------------


def test_no_descriptor_is_left(sandbox):
    async def work():
        async with sandbox.session() as session:
            await session.write("a", b"b")
            await session.run("yes", limits=Limits(output_kb=4))
            await (await session.spawn("exit 3")).wait()
            await session.spawn("sleep 1000")
        await sandbox.run("no-such-command", stdin=bytes(1 << 20))
        await sandbox.run("sleep 1000", limits=Limits(wall_s=0.1))

    asyncio.run(work())
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        asyncio.run(work())
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_too_few_descriptors_is_an_error_that_passes(sandbox):
    assert works(sandbox)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def work():
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 4, hard))
        try:
            calls = [sandbox.run("echo works") for _ in range(5)]
            return await asyncio.gather(*calls, return_exceptions=True)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    found = asyncio.run(work())
    failed = [one for one in found if isinstance(one, Exception)]
    assert failed and all(isinstance(one, SandboxError) for one in failed)
    assert all("Too many open files" in str(one) for one in failed)
    assert works(sandbox)
