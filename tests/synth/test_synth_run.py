"""Whole runs: the same store with any number of workers, on Ray too; runs that go on; that end."""

import contextlib
import io
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import small_worlds
from rich.console import Console
from small_worlds import JUDGE, Inline, index_rows, items, quick_folder, tree

from speciale.errors import ConfigError, DataError
from speciale.sandbox import SandboxError
from speciale.synth import work
from speciale.synth.pool import LocalPool
from speciale.synth.progress import Show, rest
from speciale.synth.run import Summary, run
from speciale.synth.store import Store
from speciale.synth.work import Result

WANT = 24


@pytest.fixture(autouse=True)
def authors(monkeypatch):
    monkeypatch.setattr(work, "AUTHORS", small_worlds.AUTHORS)


@pytest.fixture
def folder():
    with quick_folder() as made:
        yield made


def given(count=1000, **more):
    """Items of which every fifth repeats an earlier one's tasks, so that gate 7 has work."""
    for item in items(count, **more):
        if item["number"] % 5 == 4 and "wrong" not in item:
            item["copy"] = item["number"] - 3
        yield item


def made_by(folder, pool, want=WANT, **more):
    with Store(folder) as store:
        summary = run(given(**more), want, store, pool)
        return summary, tree(folder), index_rows(store)


@pytest.mark.parametrize(
    "counts", [(1, 3), pytest.param((1, 2, 3, 5), marks=pytest.mark.slow)], ids=str
)
def test_the_same_store_with_any_number_of_workers(folder, counts):
    found = []
    for workers in counts:
        with LocalPool(workers, judge=JUDGE) as pool:
            found.append(made_by(folder / str(workers), pool, sleep=0.05))
    summary, files, rows = found[0]
    for other, *same in found[1:]:
        assert same == [files, rows]
        assert {**vars(other), "seconds": 0} == {**vars(summary), "seconds": 0}
    assert WANT <= summary.accepted < WANT + 3 and summary.refused[7] >= 3 and summary.refused[4]
    assert summary.rejected and summary.failed and summary.kept
    assert sum(path.endswith("solution.py") and "families" in path for path in files) == (
        summary.accepted
    )


COMMAND = """
import sys
sys.path.insert(0, sys.argv[1])
from test_synth_run import JUDGE, WANT, LocalPool, Store, given, run, small_worlds, work

if __name__ == "__main__":
    work.AUTHORS = small_worlds.AUTHORS
    with Store(sys.argv[2]) as store, LocalPool(2, judge=JUDGE) as pool:
        run(given(sleep=0.1), WANT, store, pool)
"""


@pytest.mark.slow
def test_a_command_that_is_killed_again_and_again_makes_the_same_store(folder):
    with LocalPool(1, judge=JUDGE) as pool:
        _, *want = made_by(folder / "whole", pool, sleep=0.1)
    script, store = folder / "command.py", folder / "killed"
    script.write_text(COMMAND)
    command = [sys.executable, str(script), str(Path(__file__).parent), str(store)]
    rng, kills, code = random.Random(2), 0, None

    def done():
        return sum(len(list((store / part).glob("*"))) for part in ("families", "rejected"))

    while code != 0:
        before = done()
        with subprocess.Popen(command) as process:
            # Some way into its work, however long it takes to begin.
            while process.poll() is None and done() < before + 4:
                time.sleep(0.01)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(rng.random() * 0.3)
            kills += process.poll() is None
            process.kill()
        code = process.returncode
        assert code in (0, -9)
    assert kills >= 2
    with Store(store) as opened:
        assert [tree(store), index_rows(opened)] == want


@pytest.mark.slow
def test_a_ray_cluster_of_two_processes_makes_the_same_store(folder):
    ray = pytest.importorskip("ray")
    from speciale.synth.ray_pool import RayPool

    with LocalPool(2, judge=JUDGE) as pool:
        _, files, rows = made_by(folder / "local", pool)
    path = {"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}}
    ray.init(num_cpus=2, include_dashboard=False, runtime_env=path, logging_level="ERROR")
    try:
        with RayPool(judge=JUDGE, limit_s=20) as pool:
            assert pool.workers == 2
            summary, *same = made_by(folder / "ray", pool)
            assert same == [files, rows] and summary.accepted >= WANT
            item = {"author": "small", "number": 0}
            mark = str(folder / "mark")
            odd = [
                {**item, "key": "a", "wrong": "dies"},
                {**item, "key": "b", "wrong": "dies once", "mark": mark},
                {**item, "key": "c"},
            ]
            results = list(pool.results(iter(odd)))
            assert [result.key for result in results] == ["a", "b", "c"]
            assert [result.failed for result in results] == [True, False, False]
            assert "died 2 times" in results[0].reason
            pool.limit_s = 2.0
            hung = list(pool.results(iter([{**item, "key": "d", "wrong": "hangs"}])))
            assert "took more than 2 s" in hung[0].reason
        assert ray.is_initialized()  # it was not the pool's
    finally:
        ray.shutdown()


def test_a_ray_cluster_that_is_not_there_is_an_error_at_once():
    pytest.importorskip("ray")
    from speciale.synth.ray_pool import RayPool

    for address in ("127.0.0.1:1", "ray://127.0.0.1:1"):
        with pytest.raises(ConfigError, match=f"no Ray cluster at '{address}'"):
            RayPool(address)


def test_ray_that_is_not_installed_is_an_error_that_says_how(monkeypatch):
    from speciale.synth.ray_pool import RayPool

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'speciale\[cluster\]'"):
        RayPool("auto")


def test_a_run_goes_on_where_it_was(folder):
    whole, *want = made_by(folder / "whole", Inline())
    for part in (7, 15, WANT):
        summary, *found = made_by(folder / "parts", Inline(), part)
    assert found == want
    assert summary.before >= 15 and summary.accepted == whole.accepted
    again, *found = made_by(folder / "parts", Inline())
    assert found == want
    assert (again.accepted, again.before) == (whole.accepted, whole.accepted)
    assert (again.kept, again.failed, again.rejected) == (0, 0, 0)


def test_a_run_ends_with_its_items(folder):
    summary, files, _ = made_by(folder, Inline(), 10_000, count=10)
    assert 0 < summary.accepted < 30 and files
    assert summary.kept + summary.rejected + summary.failed == 10


def test_what_cannot_go_on_ends_a_run(folder):
    class Broken:
        def results(self, items, needed):
            yield Result(next(items), reason="No sandbox here.", failed=True, fatal=True)

    with Store(folder) as store:
        with pytest.raises(SandboxError, match="No sandbox here"):
            run(items(5), 5, store, Broken())
        assert store.done("small-0000") is None  # it is not recorded as done
        with pytest.raises(ConfigError, match="give 1 or more"):
            run(items(5), 0, store, Inline())
        twice = ({"author": "small", "key": "a", "number": 0} for _ in range(2))
        with pytest.raises(ConfigError, match="two work items have the key 'a'"):
            run(twice, 10, store, Inline())
        bad = ({**item, "wrong": "all refused"} for item in items(50))
        with pytest.raises(DataError, match=r"20 work items in a row .* gate 4: The verifier"):
            run(bad, 10, store, Inline(), patience=20)
        bad = ({**item, "key": f"b{item['number']}", "wrong": "rejects"} for item in items(50))
        with pytest.raises(DataError, match=r"3 work items in a row .*no world came of it"):
            run(bad, 10, store, Inline(), patience=3)


def test_progress_is_told_after_each_item(folder):
    seen = []
    with Store(folder) as store:
        run(items(12), 10_000, store, Inline(), lambda now: seen.append(now.accepted))
    assert seen[0] == 0 and seen == sorted(seen) and len(seen) == 14


def test_what_is_shown():
    summary = Summary(100, accepted=30, before=10, seconds=3600.0)
    summary.refused.update({4: 3, 7: 1})
    summary.failed = 2
    assert summary.an_hour == 20
    assert rest(summary) == (
        "20 an hour, 3:30:00 to go; refused: rejects 3, new 1; items without a task 0, failed 2"
    )
    for terminal in (True, False):
        said = io.StringIO()
        with Show(Console(file=said, force_terminal=terminal, width=150)) as show:
            show._said -= 60
            show(summary)
            show(summary)
        assert "30" in said.getvalue() and "refused: rejects 3" in said.getvalue()
        if not terminal:  # a line now and then
            assert said.getvalue().count("\n") == 1
