"""Which form of the sandbox is used, what is said where none can be had, and that the fallbacks
hold what they promise.
"""

import asyncio
import gc
import json
import os
import secrets

import other_user
import pytest
from sandbox_host import running

from speciale.sandbox import Limits, Sandbox, SandboxError, bubblewrap
from speciale.sandbox.inside import landlock


def used(sandbox):
    form = asyncio.run(sandbox.jail()).form
    sandbox.close()
    return form


def test_bubblewrap_is_the_first():
    assert used(Sandbox()) == used(Sandbox(unsafe=True)) == "bubblewrap"


def test_without_any_it_refuses_and_says_why(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(landlock, "version", lambda: 3)
    with pytest.raises(SandboxError) as caught:
        asyncio.run(Sandbox().run("echo ran"))
    said = str(caught.value)
    assert "bubblewrap: it is not installed (apt-get install bubblewrap)" in said
    assert "landlock: the kernel's version of it is 3" in said
    assert "--unsafe" in said


@pytest.mark.parametrize("system, release", [("Linux", "5.10.0-9-amd64"), ("Darwin", "24.1.0")])
def test_another_kernel_is_named(system, release, monkeypatch):
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("platform.release", lambda: release)
    with pytest.raises(SandboxError, match=f"needs Linux 5.14, and this is {system} {release}"):
        asyncio.run(Sandbox().run("echo ran"))


@pytest.mark.parametrize(
    "script, why",
    [
        ("echo 'bwrap: no permissions to create new namespace' >&2; exit 1", "no permissions"),
        ("exit 1", "did not start"),
        ('exec 1>&-; for fd in /proc/self/fd/*; do echo "{}" >&${fd##*/}; done 2>&-', ""),
    ],
)
def test_a_bubblewrap_that_fails_is_quoted(script, why, monkeypatch, tmp_path):
    (tmp_path / "bwrap").write_text(f"#!/bin/bash\n{script}\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxError, match=rf"bubblewrap: .*{why}"):
        asyncio.run(Sandbox(forms=["bubblewrap"]).run("echo ran"))


def test_a_system_that_lets_a_jail_begin_but_no_command_is_found_out(monkeypatch):
    """As AppArmor does where it takes the rights of what bubblewrap starts."""
    some = tuple(name for name in bubblewrap.CAPABILITIES if name != "NET_ADMIN")
    monkeypatch.setattr(bubblewrap, "CAPABILITIES", some)
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(SandboxError, match=r"bubblewrap: .*not permitted"):
        asyncio.run(Sandbox(forms=["bubblewrap"]).run("echo ran"))
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_plain_folder_closed_while_a_command_runs(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    sandbox = Sandbox(forms=[], unsafe=True)
    marker = f"0.{secrets.randbelow(10**15)}"

    async def work():
        task = asyncio.create_task(sandbox.run(["sleep", "1000", marker]))
        while not running(marker):
            await asyncio.sleep(0.02)
        sandbox.close()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(work())
    assert running(marker) == [] and list(tmp_path.iterdir()) == []


def test_unsafe_runs_and_warns(capfd, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("HOST_ONLY", "secret")
    sandbox = Sandbox(forms=[], unsafe=True)
    marker = f"0.{secrets.randbelow(10**15)}"

    async def work():
        first = await sandbox.run("pwd; env; mkdir -p a/b; chmod 0 a", files={"x": b"y"})
        async with sandbox.session() as session:
            await session.write("deep/er", b"data")
            assert await session.read("deep/er") == b"data"
            await session.run(f"sleep 1000 {marker} & disown; echo 1 > $TMPDIR/kept")
            second = await session.run("cat $TMPDIR/kept")
        return first, second

    first, second = asyncio.run(work())
    assert "NO SANDBOX" in capfd.readouterr().err
    assert str(tmp_path) in first.stdout.decode() and b"secret" not in first.stdout
    assert second.stdout == b"1\n" and running(marker) == []
    assert list(tmp_path.iterdir()) == []
    assert used(sandbox) == "unsafe"


UNSAFE_LIMITS = {
    "wall": ("trap '' TERM; sleep 100", Limits(wall_s=0.5)),
    "cpu": ("while :; do :; done", Limits(cpu_s=0.5)),
    "output": ("yes", Limits(output_kb=4)),
    "file": ("exec head -c 9M /dev/zero > big", Limits(file_mb=1)),
    "disk": (
        "for n in $(seq 40); do head -c 900K /dev/zero > $n; done; sleep 9",
        Limits(disk_mb=9),
    ),
    "processes": ("for n in $(seq 40); do sleep 9 & done; wait", Limits(processes=8)),
    "memory": (
        "for n in 1 2 3 4; do python3 -c 'x = b\"1\" * (40 << 20); input()' < <(sleep 9) & done; "
        "wait",
        Limits(memory_mb=100),
    ),
}


@pytest.mark.parametrize("name", UNSAFE_LIMITS)
def test_limits_without_namespaces(name, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    command, limits = UNSAFE_LIMITS[name]
    sandbox = Sandbox(forms=[], unsafe=True)
    outcome = asyncio.run(sandbox.run(command, limits=limits))
    assert outcome.stopped == name, outcome
    sandbox.close()
    assert list(tmp_path.iterdir()) == []


# --- as another user ------------------------------------------------------------------------------

SMALL = """
import asyncio, json, sys
from speciale.sandbox import Limits, Sandbox
async def main():
    async with Sandbox(forms=sys.argv[1:]) as sandbox:
        found = {"form": (await sandbox.jail()).form}
        script = "import os, sys, speciale; print(os.getuid(), sys.version_info[:2] >= (3, 11))"
        found["python"] = (await sandbox.run(["python3", "-c", script])).stdout.decode()
        shadow = await sandbox.run("cat /etc/shadow || echo held")
        found["shadow"] = shadow.stdout.decode()
        found["late"] = (await sandbox.run("sleep 9", limits=Limits(wall_s=0.2))).stopped
        bomb = ":(){ :|:& }; : ; sleep 0.5; echo over"
        await sandbox.run(bomb, limits=Limits(processes=16, wall_s=3))
        async with sandbox.session() as session:
            await session.write("a/b", b"data")
            found["session"] = (await session.run("cat a/b; sleep 1000 & disown")).stdout.decode()
        print(json.dumps(found))
asyncio.run(main())
"""


def small(tmp_path_factory, forms, prefix=()):
    return json.loads(other_user.run(["-c", SMALL, *forms], tmp_path_factory, prefix))


@pytest.mark.parametrize("form", ["bubblewrap", "landlock"])
def test_as_another_user(form, tmp_path_factory):
    found = small(tmp_path_factory, [form])
    assert found.pop("python") in ("65534 True\n", "12345 True\n")
    assert found == {"form": form, "shadow": "held\n", "late": "wall", "session": "data"}


def test_landlock_where_namespaces_are_forbidden(tmp_path_factory):
    """In a user namespace that allows no other, as in many containers."""
    forbid = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    prefix = ["unshare", "--user", "--map-root-user", "sh", "-c", forbid, "sh"]
    found = small(tmp_path_factory, ["bubblewrap", "landlock"], prefix)
    assert (found["form"], found["shadow"], found["session"]) == ("landlock", "held\n", "data")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["bubblewrap", "landlock"])
def test_every_attack_as_another_user(form, tmp_path_factory):
    script = str(other_user.ROOT / "tests/sandbox/attack_as_user.py")
    found = json.loads(other_user.run([script, form], tmp_path_factory))
    assert found["failed"] == {} and found["held"] > 60
