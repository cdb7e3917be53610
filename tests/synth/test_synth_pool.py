"""Pools: results in the items' order, workers that die, hang or cannot work, ends of all kinds."""

import itertools
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import small_worlds
from small_worlds import JUDGE, items

from speciale.errors import ConfigError
from speciale.sandbox import SandboxError
from speciale.synth import work
from speciale.synth.pool import LocalPool
from speciale.synth.schedule import AHEAD
from speciale.synth.work import AUTHORS, Workman, author_of


@pytest.fixture(autouse=True)
def authors(monkeypatch):
    monkeypatch.setattr(work, "AUTHORS", small_worlds.AUTHORS)


@pytest.fixture(scope="module")
def pool():
    with LocalPool(2, limit_s=4, judge=JUDGE) as pool:
        yield pool


def item(key, **more):
    return {"author": "small", "key": key, "number": 0, **more}


def test_results_come_in_the_items_order_however_long_each_takes(pool):
    given = list(items(24, sleep=0.1))
    results = list(pool.results(iter(given)))
    assert [result.item for result in results] == given
    assert [result.key for result in results if result.failed] == ["small-0008", "small-0017"]
    good = results[0]
    assert good.family == small_worlds.make(good.item) and set(good.judged) == set(
        good.family.tasks
    )
    assert good.seconds > 0 and not good.reason
    assert (results[6].reason, results[6].failed) == ("no world came of it", False)
    assert results[8].reason.startswith("the author failed: ZeroDivisionError: a fault of the")


def test_no_more_items_are_taken_than_needed(pool):
    taken = []

    def endless():
        for number in itertools.count():
            taken.append(number)
            yield item(f"small-{number}", number=number)

    results = pool.results(endless())
    for count in range(1, 6):
        next(results)
        assert len(taken) <= count + AHEAD * pool.workers
    results.close()
    assert len(list(pool.results(iter([item("after")])))) == 1


def test_what_is_hardly_needed_is_not_begun(pool):
    """Towards its end a run does not pay for items that it will not take."""
    taken, needed = [], 5

    def endless():
        for number in itertools.count():
            taken.append(number)
            yield item(f"small-{number}", number=number)

    results = pool.results(endless(), lambda: needed)
    for _ in range(5):
        next(results)
        needed -= 1
    assert len(taken) == 5
    results.close()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_items_than_workers(pool, count):
    assert len(list(pool.results(items(count)))) == count


def test_a_worker_that_dies_costs_its_item_a_failure_and_no_other(pool):
    given = [item("a"), item("b", wrong="dies"), *(item(f"c{n}") for n in range(4))]
    results = list(pool.results(iter(given)))
    assert [result.key for result in results] == ["a", "b", "c0", "c1", "c2", "c3"]
    assert [result.key for result in results if result.failed] == ["b"]
    assert results[1].reason == "its worker died 2 times (signal 9)"


def test_an_item_whose_worker_was_killed_once_is_worked_on_again(pool, tmp_path):
    given = [item("a", wrong="dies once", mark=str(tmp_path / "mark"))]
    (result,) = pool.results(iter(given))
    assert not result.failed and (tmp_path / "mark").exists()


def test_a_worker_that_hangs_is_ended(pool):
    begin = time.monotonic()
    results = list(pool.results(iter([item("a", wrong="hangs"), item("b"), item("c")])))
    assert [result.failed for result in results] == [True, False, False]
    assert results[0].reason == "it took more than 4 s, and its worker was ended"
    assert time.monotonic() - begin < 60


FAULTS = {
    "judge raises": "the gates failed: ValueError: a fault of the gates'",
    "no JSON": "the gates failed: TypeError: Object of type set is not JSON serializable",
    "renames": "the author made a family 'other' out of this item",
}


def test_faults_of_gates_and_authors_are_told(pool):
    results = list(pool.results(item(f"a{n}", wrong=wrong) for n, wrong in enumerate(FAULTS)))
    for result, reason in zip(results, FAULTS.values(), strict=True):
        assert result.failed and result.reason.startswith(reason)


def test_a_broken_sandbox_is_the_items_only_where_a_sandbox_can_be_had(monkeypatch):
    workman = Workman(JUDGE)
    try:
        result = workman.work(item("a", wrong="no sandbox"), "small_worlds:make")
        assert result.failed and not result.fatal and "the sandbox broke" in result.reason

        async def none(*_):
            raise SandboxError("No sandbox can be had here.")

        monkeypatch.setattr(workman._sandbox, "run", none)
        result = workman.work(item("a", wrong="no sandbox"), "small_worlds:make")
        assert result.fatal and result.reason == "No sandbox can be had here."
    finally:
        workman.close()


def test_what_is_no_item_is_an_error_and_items_name_no_code(pool):
    for wrong in (item("A b"), item("../a"), {"author": "small"}, item("")):
        with pytest.raises(ConfigError, match="key"):
            list(pool.results(iter([wrong])))
    for author in ("os:system", "general:make", None, "small_worlds:make"):
        with pytest.raises(ConfigError, match="no author"):
            author_of({"author": author, "key": "a"})
    assert all(path.startswith("speciale.synth.") for path in AUTHORS.values())


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_closing_ends_the_workers():
    pool = LocalPool(2, judge=JUDGE)
    results = pool.results(iter([item("a"), item("b", wrong="hangs")]))
    assert next(results).key == "a"
    pids = [worker.process.pid for worker in [*pool._idle, *pool._busy]]
    begin = time.monotonic()
    results.close()
    pool.close()
    assert time.monotonic() - begin < 5 and pids and not any(map(alive, pids))


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import small_worlds
from speciale.synth import work
from speciale.synth.pool import LocalPool

def main():
    work.AUTHORS = small_worlds.AUTHORS
    given = [dict(author="small", key=key, number=0, wrong="hangs") for key in "ab"]
    given.insert(0, dict(author="small", key="c", number=0))
    with LocalPool(2, judge=small_worlds.JUDGE) as pool:
        results = pool.results(iter(given))
        next(results)
        for worker in pool._busy:
            print(worker.process.pid, flush=True)
        print("end", flush=True)
        next(results)

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize(
    "signum", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)]
)
def test_workers_end_with_the_command(tmp_path, signum):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    command = [sys.executable, str(script), str(Path(__file__).parent)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    pids = [int(line) for line in iter(process.stdout.readline, "end\n")]
    assert pids and all(map(alive, pids))
    os.killpg(process.pid, signum)  # as a terminal does: the whole group
    _, said = process.communicate(timeout=20)
    deadline = time.monotonic() + 5
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, pids))
    # The command's own traceback alone: workers say nothing of a Ctrl-C.
    assert said.count("Traceback") == (1 if signum == signal.SIGINT else 0)
