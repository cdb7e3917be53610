"""The model that comes with the package, for commands that are given none.

It is what `speciale speedrun --recipe laptop-agents` makes, RL included, rounded to bfloat16
(benchmarks/_reference.py); the folder beside this file holds the weights, their card and the
records that the card was made from. A CPU computes with them in float32. `make reference` makes
them again.
"""

from collections.abc import Sequence
from pathlib import Path

from speciale.errors import CheckpointError, ConfigError

PLACE = Path(__file__).parent / "laptop-agents"


def reference_model() -> Path:
    """The folder of the model's run. CheckpointError where this copy was made without one."""
    if not (PLACE / "model" / "model.safetensors").exists():
        raise CheckpointError(
            f"no model was named, and {PLACE} holds none: name a run or a model folder, such as "
            "one that `speciale speedrun` made"
        )
    return PLACE


def model_and_text(words: Sequence[str], what: str) -> tuple[Path, str]:
    """The plain arguments `[RUN] TEXT` of a command, the run our own unless given. ConfigError for
    any other number, or where the text is missing behind a run. what: the text's name."""
    if len(words) not in (1, 2):
        raise ConfigError(
            f'{len(words)} arguments were given: give [RUN] "{what}", the text in quotes'
        )
    if len(words) == 1 and Path(words[0]).is_dir():
        raise ConfigError(f'{words[0]} is a folder: give a text behind it, {words[0]} "{what}"')
    return (Path(words[0]) if len(words) == 2 else reference_model()), words[-1]
