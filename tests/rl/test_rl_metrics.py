"""Metrics of an RL run: JSON lines that are whole and plain, and TensorBoard's events."""

import json
import logging
import struct
import sys

import numpy as np
import pytest
import torch
from lifelike_run import evaluation_record, step_record

from speciale.errors import SpecialeError
from speciale.rl.metrics import Metrics, flatten


def lines(folder):
    text = (folder / "metrics.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.removesuffix("\n").split("\n")]


def events(folder):
    """All events, file by file as the viewer reads them: (step, {tag: value} or "start")."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted((folder / "tensorboard").iterdir()):
        data, place = path.read_bytes(), 0
        while place < len(data):  # TFRecord: length, its sum, the event, its sum
            (size,) = struct.unpack_from("<Q", data, place)
            event = Event.FromString(data[place + 12 : place + 12 + size])
            place += size + 16
            if event.HasField("summary"):
                values = {each.tag: each.simple_value for each in event.summary.value}
                found.append((event.step, values))
            elif event.HasField("session_log"):
                found.append((event.step, "start"))
    return found


def test_each_record_is_a_line_and_an_event_at_once(tmp_path):
    with Metrics(tmp_path) as metrics:
        metrics.evaluation(evaluation_record(0))
        metrics.step(step_record(1))
        # Nothing is closed yet: a process killed here has written both.
        first, second = lines(tmp_path)
        (zero, means), (one, figures) = events(tmp_path)
    assert (first["kind"], first["step"], second["kind"], second["step"]) == ("eval", 0, "step", 1)
    assert {name: second[name] for name in step_record(1)} == step_record(1)
    assert (zero, one) == (0, 1)
    assert figures["domains/agents/score"] == pytest.approx(second["domains"]["agents"]["score"])
    assert figures["gap/kl"] == pytest.approx(second["gap"]["kl"])
    assert set(figures) == dict(flatten(step_record(1))).keys()
    assert not {"step", "time", "kind"} & set(figures)
    rows = [row for row in first["rows"] if not row["trained"]]
    mean = sum(row["pass1"] for row in rows) / len(rows)
    assert means["eval_mean/held_out_environments/heldout/pass1"] == pytest.approx(mean)
    name = "eval/starter/move-items/level_2/heldout/passk"
    row = next(row for row in rows if row["source"] == "starter/move-items" and row["level"] == 2)
    assert means[name] == pytest.approx(row["passk"])


def test_numbers_of_any_kind_become_plain_and_those_that_are_none_null(tmp_path):
    odd = {
        "step": 1, "reward": {"mean": float("nan"), "x": float("-inf")}, "score": np.float32(0.5),
        "kl": torch.tensor(float("inf")), "k3": torch.tensor(2.0), "list": [np.nan, 1],
        "whole": np.int64(3), "flag": np.bool_(True), "text": "\ud800\u2028", "none": None,
    }  # fmt: skip
    with Metrics(tmp_path) as metrics:
        metrics.step(odd)
    (line,) = (tmp_path / "metrics.jsonl").read_text().split("\n")[:-1]
    read = json.loads(line, parse_constant=pytest.fail)  # NaN, Infinity
    assert read["reward"] == {"mean": None, "x": None} and read["kl"] is None
    assert (read["score"], read["k3"], read["list"], read["whole"]) == (0.5, 2.0, [None, 1], 3)
    assert read["flag"] is True and read["text"] == "\ud800\u2028"
    assert set(events(tmp_path)[0][1]) == {"score", "k3", "whole", "flag"}


def test_a_resumed_run_forgets_later_steps_in_both(tmp_path):
    with Metrics(tmp_path) as metrics:
        for step in range(1, 6):
            metrics.step({"step": step, "score": 0.0})
    with open(tmp_path / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write('{"kind": "eval", "step": 2, "text": "\u2028"}\n{"note": 1}\n[1]\n{"step": 3')
    with Metrics(tmp_path) as metrics:
        metrics.forget(after_step=3)
        metrics.step({"step": 4, "score": 1.0})
    assert [line.get("step") for line in lines(tmp_path)] == [1, 2, 3, 2, None, 4]
    shown = events(tmp_path)
    assert [step for step, _ in shown] == [1, 2, 3, 4, 5, 4, 4]  # the viewer hides from the mark on
    assert shown[5] == (4, "start") and shown[6] == (4, {"score": 1.0})


def test_forgetting_also_works_within_a_process_and_before_the_first_record(tmp_path):
    with Metrics(tmp_path) as metrics:
        metrics.forget(after_step=0)
        assert events(tmp_path) == []
        for _ in range(3):  # within one second: the files' names must differ
            metrics.step({"step": 1, "score": 0.5})
            metrics.forget(after_step=0)
    assert (tmp_path / "metrics.jsonl").read_text() == ""
    assert [what for _, what in events(tmp_path)] == [{"score": 0.5}, "start"] * 3


def test_a_line_after_one_that_a_kill_cut_off_stands_by_itself(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n{"st')
    metrics = Metrics(tmp_path, tensorboard=False)
    metrics.step({"step": 2})
    metrics.step({"step": 3})
    whole, cut, *new = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert (json.loads(whole), cut) == ({"step": 1}, '{"st')
    assert [json.loads(line)["step"] for line in new] == [2, 3]
    assert not (tmp_path / "tensorboard").exists()


def test_without_tensorboard_there_are_lines_alone_and_it_is_said_once(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with caplog.at_level(logging.WARNING), Metrics(tmp_path) as metrics:
        for step in (1, 2):
            metrics.step({"step": step})
        metrics.forget(after_step=1)
    assert [line["step"] for line in lines(tmp_path)] == [1]
    (said,) = caplog.messages
    assert "pip install 'speciale[rl]'" in said
    assert not (tmp_path / "tensorboard").exists()


def test_a_folder_that_cannot_be_one_is_said_in_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SpecialeError, match="Could not write"):
        Metrics(tmp_path / "file" / "run")
