"""What lies in deploy/, as far as a machine without GPUs, Docker and Slurm allows."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

DEPLOY = Path(__file__).parents[1] / "deploy"


def test_the_slurm_script_starts_what_it_should(tmp_path):
    """With programs of Slurm in its place that tell what they were asked."""
    subprocess.run(["bash", "-n", DEPLOY / "train.sbatch"], check=True)
    for name, text in (
        ("scontrol", "printf 'node1\\nnode2\\n'"),
        ("srun", 'printf "%s\\n" "$@"'),
    ):
        program = tmp_path / name
        program.write_text(f"#!/bin/bash\n{text}\n")
        program.chmod(0o755)
    environment = {
        **os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_NNODES": "2", "SLURM_JOB_ID": "7", "SLURM_GPUS_ON_NODE": "8",
    }  # fmt: skip

    def asked(*words):
        command = ["bash", str(DEPLOY / "train.sbatch"), *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.split()

    words = asked("warmup", "--recipe", "cluster", "--context-ranks", "8")
    assert words[:2] == ["--kill-on-bad-exit", "torchrun"]
    assert words[words.index("--rdzv-endpoint") + 1] == "node1:29500"
    assert words[words.index("-m") :] == [
        "-m", "speciale", "train", "warmup", "--recipe", "cluster", "--context-ranks", "8",
    ]  # fmt: skip
    assert asked("rl", "cluster")[-4:] == ["-m", "speciale", "rl", "cluster"]


@pytest.mark.parametrize("name", ["compose.yaml", "rl-workers.yaml"])
def test_compose_files_can_be_read_and_ask_for_their_secrets(name):
    services = yaml.safe_load((DEPLOY / name).read_text())["services"]
    text = (DEPLOY / name).read_text()
    assert services and ":?set it}" in text


def test_the_workers_command_is_one_that_exists():
    worker = yaml.safe_load((DEPLOY / "rl-workers.yaml").read_text())["services"]["worker"]
    command = [sys.executable, "-m", *worker["entrypoint"], *worker["command"]]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ})
    assert "RL_WORKERS_KEY" in done.stderr and done.returncode == 1  # all else was understood


@pytest.mark.slow
def test_rl_runs_on_ray_of_this_machine(tmp_path):
    """Two workers that Ray places, and a trainer; one worker is killed and comes back."""
    from rl.small import small_model

    model = small_model(tmp_path / "model")
    recipe = tmp_path / "small.toml"
    recipe.write_text(
        f"""
name = "small"
model = "{model}"
[rollout]
groups = 2
group_size = 4
max_tokens = 8
window = 256
dynamic_sampling = false
staleness = 1
[train]
steps = 2
learning_rate = 1e-3
[evaluation]
every = 100
tasks = 1
samples = 1
[domains.mathematics]
sources = ["problems/chain_sum@1"]
thinking = "off"
"""
    )
    command = [sys.executable, str(DEPLOY / "rl_on_ray.py"), str(recipe), "--workers", "2",
               "--cpus", "0.5", "--first-port", "30917", "--out", str(tmp_path / "run"),
               "--patience-s", "120"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert (tmp_path / "run" / "model" / "config.json").exists()
    assert (tmp_path / "run-weights" / "version-000002" / "config.json").exists()
