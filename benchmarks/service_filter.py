"""How much longer a streamed answer takes with the content filter on: one engine, two deployments,
answers in turns with the same seeds, which give the same tokens. Once with a run, and once with
words that come at a pace (20 a second, as from a large model): there only checks can be waited for.

    python benchmarks/service_filter.py RUN [--pairs 15] [--tokens 200]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from pathlib import Path

from _results import Row, write
from _service import Server, stream

CONFIG = """
[[deployments]]
name = "on"
{source}
[[deployments]]
name = "off"
{source}
filter = {{ enabled = false }}
"""


async def answers(port: int, model: str, tokens: int, streams: int, seed: int) -> tuple[float, int]:
    """Seconds until all of `streams` answers are complete, and their tokens."""
    asked = (stream(port, tokens, None, model, seed * streams + i) for i in range(streams))
    told = await asyncio.gather(*asked)
    assert all(one["done"] for one in told)
    return max(one["seconds"] for one in told), sum(
        one["usage"]["completion_tokens"] for one in told
    )


def compared(port: int, streams: int, pairs: int, tokens: int) -> Row:
    ratios, speeds = [], []
    for seed in range(pairs + 1):
        seconds = {}
        for model in ("on", "off") if seed % 2 else ("off", "on"):
            seconds[model], made = asyncio.run(answers(port, model, tokens, streams, seed))
            speeds.append(made / seconds[model])
        if seed:  # the first round is cold
            ratios.append(seconds["on"] / seconds["off"])
    ratios.sort()
    return {
        "streams": streams,
        "with the filter, times": statistics.median(ratios),
        "quartiles": f"{ratios[len(ratios) // 4]:.3f} to {ratios[3 * len(ratios) // 4]:.3f}",
        "tokens/s": statistics.median(speeds),
        "pairs": pairs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, nargs="?", default=Path("runs/laptop"))
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--tokens", type=int, default=200)
    options = parser.parse_args()
    rows = []
    for label, source in (
        ("words, 20/s each", 'backend = "null:20"'),
        ("run", f'run = "{options.run.resolve()}"'),
    ):
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "service.toml"
            path.write_text(CONFIG.format(source=source))
            with Server(Path(name), "--config", str(path)) as server:
                for streams in (1, 8):
                    pairs = options.pairs if label == "run" else min(options.pairs, 4)
                    rows.append(
                        {"source": label, **compared(server.port, streams, pairs, options.tokens)}
                    )
    write("service_filter", rows)


if __name__ == "__main__":
    main()
