"""An RL run on a Ray cluster: rollout workers where there is room, the trainer beside them.

    python deploy/rl_on_ray.py rl-laptop --workers 2 --out runs/ray        # on this machine alone
    ray job submit --working-dir . -- python deploy/rl_on_ray.py cluster --workers 8 --gpus 8 \
      --out /shared/rl --set model=/shared/V3.2 --trainer "torchrun --nproc-per-node 8 -m speciale"

Another engine: --command "python -m sglang.launch_server --model-path {model} --host {host} --port
{port} --tp 8 --api-key {key}". What stands behind `--` goes to `speciale rl`: -- --expert-ranks 8

Ray places the workers, one `speciale rl-worker` each, and starts one again that ended, on the same
node; the run goes on meanwhile and takes it back. The same command goes on with a stopped run.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

KEY_ENV = "RL_WORKERS_KEY"
OURS = "{python} -m speciale rl-worker {model} --host {host} --port {port} --key-env " + KEY_ENV


@ray.remote(max_restarts=-1, max_task_retries=-1)
class Worker:
    """A rollout server as a process of its node."""

    def __init__(self, command: str, model: str, host: str, port: int, key: str) -> None:
        self._address = (host, port)
        words = command.format(python=sys.executable, model=model, host=host, port=port, key=key)
        self._process = subprocess.Popen(shlex.split(words), env={**os.environ, KEY_ENV: key})

    def ready(self, patience_s: float) -> None:
        """Returns once it listens; RuntimeError where it ended or took too long."""
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise RuntimeError(f"the server of {self._address} ended: see its output above")
            try:
                with socket.create_connection(self._address, timeout=5):
                    return
            except OSError:
                time.sleep(0.5)
        raise RuntimeError(f"{self._address} does not listen after {patience_s:.0f} s")

    def watch(self) -> None:
        """Ends this actor's process with the server's, so that Ray starts both again."""
        self._process.wait()
        os._exit(1)


def places(count: int, cpus: float, gpus: float) -> list[dict]:
    """A node for each worker, in turns; SystemExit where Ray's nodes have no room for them."""
    nodes = [{**node, "free": dict(node["Resources"])} for node in ray.nodes() if node["Alive"]]
    chosen: list[dict] = []
    while len(chosen) < count:
        before = len(chosen)
        for node in nodes:
            free = node["free"]
            roomy = free.get("CPU", 0) >= cpus and free.get("GPU", 0) >= gpus
            if roomy and len(chosen) < count:
                free["CPU"] = free.get("CPU", 0) - cpus
                free["GPU"] = free.get("GPU", 0) - gpus
                chosen.append(node)
        if len(chosen) == before:
            sys.exit(
                f"Ray's {len(nodes)} nodes have room for {before} workers of {cpus:g} CPUs and "
                f"{gpus:g} GPUs, not for {count}: ask for fewer or smaller ones"
            )
    return chosen


def start(options: argparse.Namespace, model: str, key: str) -> tuple[list[str], list]:
    """URLs of the workers, and their actors, which live as long as they are held."""
    urls, actors = [], []
    for number, node in enumerate(places(options.workers, options.cpus, options.gpus)):
        host, port = node["NodeManagerAddress"], options.first_port + number
        pinned = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        worker = Worker.options(
            num_cpus=options.cpus, num_gpus=options.gpus, scheduling_strategy=pinned
        ).remote(options.command, model, host, port, key)
        urls.append(f"http://{host}:{port}")
        actors.append(worker)
    ray.get([worker.ready.remote(options.patience_s) for worker in actors])
    watches = [worker.watch.remote() for worker in actors]
    return urls, [*actors, *watches]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--gpus", type=float, default=0, help="of a worker")
    parser.add_argument("--cpus", type=float, default=1, help="of a worker")
    parser.add_argument("--first-port", type=int, default=30000)
    parser.add_argument("--patience-s", type=float, default=3600, help="until a worker listens")
    parser.add_argument("--command", default=OURS, help="of a worker: {model} {host} {port} {key}")
    parser.add_argument("--trainer", default=f"{sys.executable} -m speciale")
    parser.add_argument("--out", type=Path, default=Path("runs/ray"))
    parser.add_argument("--weights", type=Path, help="shared folder; OUT/weights unless given")
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    parser.add_argument("more", nargs="*", help="for `speciale rl`, behind --")
    options = parser.parse_args()

    from speciale.rl.recipe import read_recipe

    weights = (options.weights or options.out.with_name(f"{options.out.name}-weights")).absolute()
    model = read_recipe(options.recipe, options.overrides).model
    key = secrets.token_urlsafe(24)
    ray.init()
    urls, held = start(options, str(Path(model).absolute()), key)
    server = {
        "kind": "sglang", "urls": urls, "key_env": KEY_ENV, "weights": str(weights),
        "routing": options.command == OURS,
    }  # fmt: skip
    changes = [f"rollout.server.{name}={json.dumps(value)}" for name, value in server.items()]
    command = [*shlex.split(options.trainer), "rl", options.recipe, "--out", str(options.out)]
    for change in (*changes, *options.overrides):
        command += ["--set", change]
    done = subprocess.run([*command, *options.more], env={**os.environ, KEY_ENV: key})
    del held
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
