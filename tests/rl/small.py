"""A random model with a byte tokenizer in a folder, and a recipe whose reward it can raise."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

from model.configs import random_model, tiny_config
from speciale.agents.scripted import byte_tokenizer
from speciale.chat import EOS
from speciale.chat.tokenizer import save_tokenizer
from speciale.model import save_model
from speciale.rl.recipe import Recipe
from speciale.tasks.task import Attempt, Task, Verdict


def small_model(folder: Path) -> Path:
    tokenizer = byte_tokenizer()
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    config = tiny_config(
        vocab_size=size, max_position_embeddings=512, eos_token_id=tokenizer.token_to_id(EOS)
    )
    save_tokenizer(tokenizer, folder)
    save_model(random_model(config), folder)
    return folder


def letter_tasks(
    source: str, *, seed: int = 0, level=None, split=None, pool=None
) -> Iterator[Task]:
    """Tasks without end that are solved by an answer that begins with an ASCII character: a random
    model does so now and then, and learns to. In the place of `load_tasks`."""

    async def verify(attempt: Attempt) -> Verdict:
        right = attempt.answer[:1].isascii() and attempt.answer[:1].isprintable()
        return Verdict(1.0) if right and attempt.answer else Verdict(0.0, ("It does not.",))

    for number in count():
        prompt = [{"role": "user", "content": f"Say {number + 1000 * seed} {split}"}]
        yield Task(f"{split}-{seed}-{number}", source, prompt, verify)


def small_recipe(model: Path, **tables: dict) -> Recipe:
    """Eight attempts at each of four tasks a step; tables as in the TOML file."""
    values = {
        "name": "small",
        "model": str(model),
        "rollout": {"groups": 4, "group_size": 8, "max_tokens": 8, "window": 256,
                    "dynamic_sampling": False},
        "train": {"steps": 6, "learning_rate": 3e-3, "warmup_steps": 0},
        "evaluation": {"every": 3, "tasks": 2, "samples": 2},
        "domains": {"letters": {"sources": ["letters"], "thinking": "off"}},
    }  # fmt: skip
    for name, table in tables.items():
        merged = isinstance(table, dict) and name != "domains"
        values[name] = {**values.get(name, {}), **table} if merged else table
    return Recipe.model_validate(values)
