"""Kill -9 at twenty moments of a synchronous run: in the end the same weights and curve."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from rl.small import small_model
from speciale.train.checkpointing import load_tensors

pytestmark = pytest.mark.slow  # in .ci/run
_KILLS = 20
_TIMED = {"time", "seconds", "rate", "phases", "busy", "evaluation_seconds"}


def begun(model, out):
    tests = Path(__file__).parents[1]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(tests)}
    script = Path(__file__).with_name("kill_script.py")
    return subprocess.Popen(
        [sys.executable, str(script), str(model), str(out)],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def steps(out):
    metrics = out / "metrics.jsonl"
    return metrics.read_text().count('"kind": "step"') if metrics.exists() else 0


def curve(out):
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in _TIMED} for line in lines]


def finished(process):
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()[-2000:]


def test_killed_at_twenty_moments(tmp_path):
    model = small_model(tmp_path / "model")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    finished(begun(model, whole))
    draw = random.Random(0)
    for kill in range(_KILLS):
        process = begun(model, cut)
        # Any moment: while it starts, samples, trains, evaluates or writes its state.
        wanted = steps(cut) + draw.choice((0, 1, 1, 2))
        while process.poll() is None and steps(cut) < wanted:
            time.sleep(0.01)
        time.sleep(draw.random() * (2.0 if kill % 5 == 0 else 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert steps(cut) > 0
    finished(begun(model, cut))
    (tensors, about), (wanted_tensors, wanted_about) = (
        load_tensors(out / "state.safetensors") for out in (cut, whole)
    )
    assert all(torch.equal(tensors[name], t) for name, t in wanted_tensors.items())
    assert {**about, "seconds": 0} == {**wanted_about, "seconds": 0}
    assert curve(cut) == curve(whole)
    assert (cut / "samples.jsonl").read_text() == (whole / "samples.jsonl").read_text()
