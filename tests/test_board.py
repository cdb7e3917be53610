"""The regression board: what is worse beyond noise, and what is no news."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import _board
import _history
import _results


def entry(machine="a", gflops=None, **row):
    rows = [{"what": "decode", "context": 1024, **row}]
    return {"machine": machine, "threads": 2, "date": "d", "commit": "c", "gflops": gflops,
            "rows": rows}  # fmt: skip


def verdicts(*entries):
    return {change.column: change.verdict for change in _history.compare(entries)}


@pytest.mark.parametrize(
    "column, before, after, verdict",
    [
        ("sparse ms", 10.0, 20.0, "worse"),
        ("sparse ms", 10.0, 12.0, "same"),  # within what a shared machine does
        ("sparse ms", 20.0, 10.0, "better"),
        ("tokens/s", 20.0, 10.0, "worse"),
        ("dense / sparse", 3.0, 2.0, "worse"),
        ("recall %", 90.0, 80.0, "worse"),
        ("recall %", 90.0, 88.0, "same"),
        ("rows missing", 0, 1, "worse"),  # of faults one more is news
        ("rows missing", 1, 0, "better"),
        ("valid loss", 2.0, 2.3, "worse"),
        ("measured MB", 100.0, 120.0, "worse"),
    ],
)
def test_a_figure_beside_its_last_one(column, before, after, verdict):
    first, last = (entry(gflops=100, **{column: value}) for value in (before, after))
    assert verdicts(first, last) == {column: verdict}


@pytest.mark.parametrize("column", ["dense ms", "transformers tok/s", "bytes bound ms", "count"])
def test_what_is_not_about_us_is_not_judged(column):
    assert verdicts(entry(**{column: 1.0}), entry(**{column: 100.0})) == {}


def test_times_are_compared_at_one_speed_of_the_machine():
    before = entry(gflops=100, **{"sparse ms": 10.0, "tokens/s": 100.0, "recall": 0.9})
    half = entry(gflops=50, **{"sparse ms": 20.0, "tokens/s": 50.0, "recall": 0.9})
    assert set(verdicts(before, half).values()) == {"same"}
    slow = entry(gflops=100, **{"sparse ms": 20.0, "tokens/s": 50.0, "recall": 0.9})
    assert verdicts(before, slow) == {"sparse ms": "worse", "tokens/s": "worse", "recall": "same"}
    # Where one of the two speeds is unknown only a great difference is news.
    assert set(verdicts(entry(**before["rows"][0]), half).values()) == {"same"}


def test_only_entries_of_one_machine_and_one_row_are_compared():
    slow = entry(**{"sparse ms": 99.0})
    assert verdicts(entry(machine="b", **{"sparse ms": 1.0}), slow) == {}
    assert verdicts(entry(**{"sparse ms": 1.0}), entry("b", **{"sparse ms": 1.0}), slow) == {
        "sparse ms": "worse"
    }
    other = entry(**{"sparse ms": 99.0})
    other["rows"][0]["context"] = 2048
    assert verdicts(entry(**{"sparse ms": 1.0}), other) == {}


def test_noise_is_measured_where_there_are_entries_enough():
    steady = [entry(gflops=1, recall=value) for value in (0.90, 0.901, 0.90, 0.901)]
    assert verdicts(*steady, entry(gflops=1, recall=0.87)) == {"recall": "worse"}
    restless = [entry(gflops=1, recall=value) for value in (0.9, 0.8, 0.9, 0.8)]
    assert verdicts(*restless, entry(gflops=1, recall=0.70)) == {"recall": "same"}


def test_a_benchmark_says_what_got_worse_and_keeps_every_entry(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(_results, "RESULTS", tmp_path)
    monkeypatch.setattr(_results, "measure_peak_gflops", lambda: 100.0)
    _results.write("speed", [{"what": "decode", "ms": 1.0}])
    assert "last time" not in capsys.readouterr().out
    _results.write("speed", [{"what": "decode", "ms": 3.0}])
    shown = capsys.readouterr().out
    assert "0 of 1 figures are as at the last time" in shown
    assert "worse: decode, ms: 1 -> 3 (noise 30%)" in shown
    kept = _history.read(tmp_path / "history" / "speed.jsonl")
    assert [each["rows"][0]["ms"] for each in kept] == [1.0, 3.0]
    assert json.loads((tmp_path / "speed.json").read_text())["rows"][0]["ms"] == 3.0


def test_a_cut_line_of_a_history_is_left_out(tmp_path):
    path = tmp_path / "speed.jsonl"
    path.write_text(json.dumps(entry(ms=1.0)) + '\n{"machine": "a", "ro')
    assert len(_history.read(path)) == 1


def test_the_page_shows_what_is_worse_first_and_escapes_names():
    fine = [entry(gflops=1, ms=1.0)] * 2
    bad = [entry(gflops=1, ms=1.0), entry(gflops=1, ms=9.0)]
    for each in bad:
        each["rows"][0]["what"] = "<script>alert(1)</script>"
    page = _board.page({"a": fine, "b": bad})
    assert page.index("<h2>b</h2>") < page.index("<h2>a</h2>")
    assert '<span class="worse">+800.0%</span>' in page and "1 figures are worse" in page
    assert "<script>" not in page and "default-src 'none'" in page
    assert page.count("<polyline") == 2


def test_every_result_that_is_kept_is_the_last_of_its_history():
    for path in _results.RESULTS.glob("*.json"):
        entries = _history.read(_results.RESULTS / "history" / f"{path.stem}.jsonl")
        assert entries and entries[-1] == json.loads(path.read_text()), path.name
