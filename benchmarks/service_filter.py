"""How much longer a streamed answer takes with the content filter on: one engine, two deployments,
answers in turns with the same seeds, which give the same tokens.

    python benchmarks/service_filter.py RUN [--pairs 15] [--tokens 256]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from pathlib import Path

from _results import write
from _service import Server, stream

CONFIG = """
[[deployments]]
name = "on"
run = "{run}"
[[deployments]]
name = "off"
run = "{run}"
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, nargs="?", default=Path("runs/laptop"))
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--tokens", type=int, default=256)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "service.toml"
        path.write_text(CONFIG.format(run=options.run.resolve()))
        with Server(Path(name), "--config", str(path)) as server:
            for streams in (1, 8):
                ratios, speeds = [], []
                for seed in range(options.pairs + 1):
                    seconds = {}
                    for model in ("on", "off") if seed % 2 else ("off", "on"):
                        seconds[model], tokens = asyncio.run(
                            answers(server.port, model, options.tokens, streams, seed)
                        )
                        speeds.append(tokens / seconds[model])
                    if seed:  # the first round is cold
                        ratios.append(seconds["on"] / seconds["off"])
                ratios.sort()
                rows.append(
                    {
                        "streams": streams,
                        "with the filter, times": statistics.median(ratios),
                        "quartiles": f"{ratios[len(ratios) // 4]:.3f} to "
                        f"{ratios[3 * len(ratios) // 4]:.3f}",
                        "tokens/s": statistics.median(speeds),
                        "pairs": options.pairs,
                    }
                )
    write("service_filter", rows)


if __name__ == "__main__":
    main()
