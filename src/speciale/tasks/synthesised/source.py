"""Tasks out of a store of synthesised families, for agents: `synth:DIR`.

An attempt is judged by its answer and by the state that its calls leave: they are made again in a
fresh world, whoever made them first.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

from speciale.errors import DataError
from speciale.sandbox import Sandbox
from speciale.tasks.environment import Environment
from speciale.tasks.problem import SPLITS, split_of
from speciale.tasks.streams import in_turn
from speciale.tasks.synthesised.attempts import answer_of, calls_of
from speciale.tasks.synthesised.family import GATES, Family, TaskFiles, read_about, read_family
from speciale.tasks.synthesised.pool import PooledFamily, WorldPool
from speciale.tasks.synthesised.processes import Broke, roleplayer
from speciale.tasks.synthesised.signatures import tools_of
from speciale.tasks.synthesised.world import (
    TOOLS,
    State,
    open_world,
    replay,
    rule,
    verifier_files,
)
from speciale.tasks.task import Attempt, Task, Verdict

FAMILIES = "families"  # the folder of a store that holds those which were accepted


def synthesised_tasks(
    name: str,
    seed: int,
    level: int | None,
    split: str | None,
    sandbox: Sandbox | None,
    pool: WorldPool | None = None,
) -> Iterator[Task]:
    """Accepted tasks of a store, or of one of its categories ("DIR#CATEGORY"): one of each family
    in turn, in an order by `seed`. pool: warm worlds for many attempts, in the place of processes
    of each one's own. DataError for no store, and for a category that it does not have."""
    folder, _, category = name.partition("#")
    root = Path(folder) / FAMILIES
    if not root.is_dir():
        raise DataError(
            f"{folder} is no store of tasks: `speciale synth general --out DIR` makes one"
        )
    paths = sorted(path for path in root.iterdir() if path.is_dir())
    if category:
        known = {path: read_about(path).category for path in paths}
        paths = [path for path in paths if known[path] == category]
        if not paths:
            names = ", ".join(sorted(set(known.values()))) or "none"
            raise DataError(f"{folder} has no tasks of category {category!r}: it has {names}")
    Random(seed).shuffle(paths)
    streams = [_tasks(path, f"synth:{name}", level, split, sandbox, pool) for path in paths]
    return in_turn(streams)


def _tasks(
    path: Path,
    source: str,
    level: int | None,
    split: str | None,
    sandbox: Sandbox | None,
    pool: WorldPool | None,
) -> Iterator[Task]:
    family, accepted = read_family(path), accepted_in(path)
    for number, task in family.tasks.items():
        if number not in accepted or level not in (None, task.about.level):
            continue
        if split in (None, split_of_task(task)):
            yield family_task(family, number, source, sandbox, accepted[number], pool)


def split_of_task(task: TaskFiles) -> str:
    """The split that its author gave it, such as that of an environment which is held out whole;
    else by its prompt."""
    given = task.about.metadata.get("split")
    return given if given in SPLITS else split_of("synth", task.about.prompt)


def family_task(
    family: Family,
    number: str,
    source: str = "synth",
    sandbox: Sandbox | None = None,
    answer: Any = None,
    pool: WorldPool | None = None,
) -> Task:
    """One task of a family, with a `pool` as above. DataError where its files are bad."""
    if family.about.kind == "code":
        from speciale.tasks.synthesised.repository.task import repository_task

        return repository_task(family, number, source, sandbox)
    task = family.tasks[number]
    warm = None if pool is None else pool.family(family)

    @asynccontextmanager
    async def opened() -> AsyncIterator[Environment]:
        async with open_world(family, sandbox) if warm is None else warm.environment() as world:
            yield world

    async def verify(attempt: Attempt) -> Verdict:
        return await _verdict(family, number, attempt, sandbox, warm)

    kept: dict[str, Any] = {"category": family.about.category, "kind": family.about.kind}
    if "unseen" in task.about.metadata:  # what of its environment is never trained on
        kept["unseen"] = task.about.metadata["unseen"]
    has_tools = TOOLS in family.files
    if family.about.kind == "interpreter":
        kept["files"] = {
            path.removeprefix("files/"): data.decode()
            for path, data in family.files.items()
            if path.startswith("files/")
        }
    return Task(
        id=f"{family.about.id}/{number}",
        source=source,
        prompt=[{"role": "user", "content": task.about.prompt}],
        verifier=verify,
        open=opened if has_tools else None,
        tools=tools_of(family.files[TOOLS].decode()) if has_tools else (),
        level=task.about.level,
        answer=None if answer is None else json.dumps(answer, ensure_ascii=False),
        metadata=kept,
    )


async def _verdict(
    family: Family,
    number: str,
    attempt: Attempt,
    sandbox: Sandbox | None,
    warm: PooledFamily | None,
) -> Verdict:
    task = family.tasks[number]
    is_text = task.about.answer_schema.get("type") == "string"
    answer = answer_of(attempt.answer, is_text)
    files = verifier_files(family, {number: task})
    try:
        state = State()
        if warm is not None:
            if TOOLS in family.files:
                state = await warm.state(calls_of(attempt))
            ruling = await warm.rule(number, answer, state)
        else:
            if TOOLS in family.files:
                async with open_world(family, sandbox) as world:
                    state = await replay(world, calls_of(attempt))
            async with roleplayer("verifier", files, sandbox) as verifier:
                (ruling, *_), _ = await rule(verifier, f"{number}.py", [answer], state)
    except Broke as error:
        return Verdict(0.0, (f"{error}.",))
    if ruling.accepted:
        return Verdict(1.0)
    return Verdict(0.0, (ruling.reason or "The verifier refuses the answer.",))


def accepted_in(folder: Path) -> dict[str, Any]:
    """The accepted tasks by number, with the answer that their solution gave."""
    try:
        tasks = json.loads((folder / GATES).read_bytes())["tasks"]
        return {
            number: next(
                (gate["evidence"].get("answer") for gate in one["gates"] if gate["number"] == 3),
                None,
            )
            for number, one in tasks.items()
            if one["accepted"] is True
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{folder / GATES} cannot be read ({error}): audit the store") from None
