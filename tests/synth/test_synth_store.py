"""The store: what lies where, killed writers, writers side by side, half-written folders."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from small_worlds import Inline, index_rows, items, make, quick_folder, tree

from speciale.errors import ConfigError, DataError, SpecialeError
from speciale.synth.run import run
from speciale.synth.store import Store
from speciale.tasks.synthesised.family import read_family


@pytest.fixture
def folder():
    with quick_folder() as made:
        yield made / "store"


def fill(folder, count, want=10_000, **more):
    with Store(folder, **more) as store:
        return run(items(count), want, store, Inline())


def look(folder):
    with Store(folder) as store:
        return tree(folder), index_rows(store), store.troubles


def result(item):
    return next(Inline().results([item]))


ITEM = {"author": "small", "key": "small-0000", "number": 0}  # has accepted and refused tasks


def test_accepted_and_rejected_tasks_lie_apart_and_are_read_together(folder):
    with Store(folder) as store:
        committed = store.commit(result(ITEM))
        assert 0 < committed.accepted < 3 and committed.new
        entry, family = store.entry("small-0000"), store.family("small-0000")
        assert store.ids() == ["small-0000"] and store.done("small-0000") == committed.accepted
    made = make(ITEM)
    assert entry.family.paths() == made.paths() and entry.judged == committed.judged
    assert sorted(family.tasks) == entry.accepted and family.files == made.files
    rejected = folder / "rejected" / "small-0000"
    assert sorted(read_family(rejected).tasks) == sorted(set(made.tasks) - set(family.tasks))
    assert not (rejected / "data.sqlite").exists()
    kept = json.loads((folder / "families/small-0000/gates.json").read_text())
    assert kept["item"] == ITEM and kept["rejected"] == sorted(set(made.tasks) - set(family.tasks))
    assert kept["tasks"][entry.accepted[0]]["gates"][6]["name"] == "new"
    assert os.listdir(folder / ".incoming") == []


def test_an_item_without_accepted_tasks_is_kept_whole_with_its_reasons(folder):
    with Store(folder) as store:
        store.commit(result({**ITEM, "wrong": "all refused"}))
        store.commit(result({**ITEM, "key": "no-world", "wrong": "rejects"}))
        store.commit(result({**ITEM, "key": "fault", "wrong": "raises"}))
        assert [store.done(key) for key in ("small-0000", "no-world", "fault")] == [0, 0, 0]
        assert store.ids() == []
        assert store.entry("small-0000").judged["000"].refusal.number == 4
        states = {row["id"]: (row["state"], row["reason"]) for row in store.index.families()}
    assert states["small-0000"] == ("rejected", None)
    assert states["no-world"] == ("rejected", "no world came of it")
    assert states["fault"] == ("failed", "a fault of the author's")
    assert (folder / "rejected/small-0000/data.sqlite").exists()
    assert os.listdir(folder / "rejected/fault") == ["gates.json"]


@pytest.mark.parametrize("wrong", ["path", "long path", "vanishes"])
def test_a_family_that_cannot_be_written_is_a_failure_and_the_rest_goes_on(folder, wrong):
    with Store(folder) as store:
        committed = store.commit(result({**ITEM, "key": "odd", "wrong": wrong}))
        assert committed.failed and "cannot be written" in committed.reason
        assert store.commit(result(ITEM)).accepted
        assert os.listdir(store._incoming) == [".lock"]
    assert os.listdir(folder / "rejected/odd") == ["gates.json"]


class Kill:
    """Kills the process at its n-th step: what the system or the database is asked for."""

    def __init__(self, folder, at, armed):
        self.folder, self.left, self.armed = str(folder), at, armed
        sys.addaudithook(self.audited)
        sa.event.listen(sa.engine.Engine, "before_cursor_execute", self.step)
        sa.event.listen(sa.engine.Engine, "commit", self.step)

    def audited(self, event, arguments):
        names = ("open", "os.mkdir", "os.rename", "os.truncate", "os.remove", "os.rmdir")
        if event in names and any(str(each).startswith(self.folder) for each in arguments):
            self.armed |= event == "os.rename"
            self.step()

    def step(self, *_):
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= self.armed


def killed_at(folder, step, work, armed=True):
    """Whether `work` was killed at that step, in a process of its own. Steps count from the first
    one on, or where not `armed` from the first rename."""
    child = os.fork()
    if child == 0:
        Kill(folder, step, armed)
        work()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize(
    ("armed", "stride"),
    [(False, 1), (True, 17), pytest.param(True, 1, marks=pytest.mark.slow)],
    ids=["renames", "samples", "all"],
)
def test_killed_at_each_step_nothing_is_lost_and_nothing_is_there_twice(folder, armed, stride):
    one, whole = folder.parent / "one", folder.parent / "whole"
    fill(one, 1)
    fill(whole, 2)
    want = look(whole)
    again = result({**ITEM, "key": "small-0001", "number": 1})
    lost = have = step = 0
    killed = True
    while killed:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(one, folder)
        # The parent's store stays open: a writer beside the killed one finds things in order too.
        with Store(folder) as beside:
            killed = killed_at(folder, step, lambda: fill(folder, 2), armed)
            if beside.done("small-0001") is None:
                lost += 1
                assert beside.commit(again).new
            else:
                have += 1
            assert index_rows(beside) == want[1], step
        assert look(folder) == want, step
        assert os.listdir(folder / ".incoming") == []
        step += stride
    assert lost > 2 and have > 1  # killed before and after the last rename


def test_killed_between_the_two_renames(folder):
    fill(folder, 1)
    want = look(folder)
    renames = 0

    def work():
        def hook(event, arguments):
            nonlocal renames
            if event == "os.rename" and "families" in str(arguments[1]):
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        fill(folder, 1)

    shutil.rmtree(folder)
    assert killed_at(folder, 10**9, work)
    assert (folder / "rejected/small-0000").exists()
    assert not (folder / "families/small-0000").exists()
    assert (folder / ".lock").read_text() == "small-0000"
    with Store(folder) as store:
        assert store.done("small-0000") is None and tree(folder) == {}
    fill(folder, 1)
    assert look(folder) == want


WRITER = """
import sys
sys.path.insert(0, sys.argv[1])
from small_worlds import Inline, items
from speciale.synth.run import run
from speciale.synth.store import Store
print("ready", flush=True)
sys.stdin.readline()
with Store(sys.argv[2]) as store:
    run(items(int(sys.argv[3])), 10_000, store, Inline())
"""


def writer(folder, count):
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", WRITER, here, str(folder), str(count)]
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert started.stdout.readline() == "ready\n"
    return started


def go(*writers):
    for each in writers:
        each.stdin.write("\n")
        each.stdin.flush()


@pytest.mark.slow
def test_three_writers_of_the_same_items_side_by_side_one_of_them_killed(folder):
    fill(folder.parent / "whole", 40)
    writers = [writer(folder, 40) for _ in range(3)]
    go(*writers)
    time.sleep(0.5)
    writers[0].kill()
    assert [each.wait(60) for each in writers][1:] == [0, 0]
    for each in writers:
        each.stdin.close()
        each.stdout.close()
    assert look(folder) == look(folder.parent / "whole")


@pytest.mark.slow
def test_killed_at_random_moments_again_and_again(folder):
    fill(folder.parent / "whole", 80)
    rng, kills, code = random.Random(5), 0, None

    def done():
        return sum(len(list((folder / part).glob("*"))) for part in ("families", "rejected"))

    while code != 0:
        process = writer(folder, 80)
        begun, more = done(), rng.randint(1, 15)
        go(process)
        while process.poll() is None and done() < begun + more:  # some way, however long it takes
            time.sleep(0.001)
        time.sleep(rng.random() * 0.05)
        kills += process.poll() is None
        process.kill()
        code = process.wait()
        process.stdin.close()
        process.stdout.close()
        assert code in (0, -9)
    assert kills > 3
    assert look(folder) == look(folder.parent / "whole")


def test_the_index_is_made_again_from_the_folders(folder):
    fill(folder, 12)
    want = look(folder)
    for name in ("index.sqlite", "index.sqlite-wal", "index.sqlite-shm"):
        (folder / name).unlink(missing_ok=True)
    assert look(folder) == want
    with Store(folder) as store:
        store.rebuild()
    assert look(folder) == want


def test_a_broken_index_is_an_error_that_says_what_to_do(folder):
    fill(folder, 2)
    (folder / "index.sqlite").write_bytes(b"this is no database" * 100)
    with pytest.raises(SpecialeError, match="remove it, and it is made again"):
        Store(folder)


def test_folders_that_people_removed_broke_or_edited(folder):
    fill(folder, 6)
    with Store(folder) as store:
        ids = store.ids()
    shutil.rmtree(folder / "families" / ids[0])
    shutil.rmtree(folder / "rejected" / ids[0], ignore_errors=True)
    (folder / "families" / ids[1] / "gates.json").write_text("{")
    (folder / "families/half").mkdir()
    task = folder / "families" / ids[2] / "tasks"
    (next(task.iterdir()) / "verify.py").write_text("def verify(*_):\n    return True\n")
    with Store(folder) as store:
        assert store.done(ids[0]) is None  # to be made again
        store.rebuild()
        assert store.done(ids[1]) == 0 and store.done("half") == 0
        assert len(store.troubles) == 2 and "gates.json" in store.troubles[0] + store.troubles[1]
        edited = store.entry(ids[2])
        assert any(not one.gates for one in edited.judged.values())  # nobody judged these bytes
    summary = run(items(6), 10_000, Store(folder), Inline())
    assert summary.kept == 1 and summary.passed == 5


def test_what_is_no_store_is_left_alone(folder):
    folder.mkdir()
    (folder / "letter.txt").write_text("dear")
    with pytest.raises(DataError, match="not empty"):
        Store(folder)
    assert os.listdir(folder) == ["letter.txt"]
    with pytest.raises(DataError, match="no store"):
        Store(folder.parent / "nothing", create=False)
    fill(folder.parent / "one", 1)
    fill(folder.parent / "two", 1)
    with pytest.raises(ConfigError, match="another store"):
        Store(folder.parent / "one", f"sqlite:///{folder.parent / 'two/index.sqlite'}")
    with pytest.raises(ConfigError, match=r"sqlite:///FILE"):
        Store(folder.parent / "one", "mysql://root:secret@there/base")
    (folder.parent / "one/store.json").write_text('{"format": 7, "id": "a"}')
    with pytest.raises(DataError, match="format 7"):
        Store(folder.parent / "one")


def test_another_writer_makes_the_store_while_one_looks(folder, monkeypatch):
    scandir = os.scandir

    def late(path):
        monkeypatch.setattr(os, "scandir", scandir)
        Store(folder).close()
        return scandir(path)

    folder.mkdir(exist_ok=True)
    monkeypatch.setattr(os, "scandir", late)
    with Store(folder) as store:
        assert store.ids() == []


def test_a_full_disk_ends_the_run_and_leaves_nothing(folder, monkeypatch):
    with Store(folder) as store:

        def full(_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(SpecialeError, match="full"):
            store.commit(result(ITEM))
        monkeypatch.undo()
        assert tree(folder) == {} and os.listdir(store._incoming) == [".lock"]
        assert store.commit(result(ITEM)).accepted
