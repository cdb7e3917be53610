"""What is wrong with what a model wrote, as sentences that it can mend it by.

Data is opened and tools are called in the sandbox; tasks go through the gates (V3.2 report, 3.2.3:
solution or verifier are mended until the verifier accepts).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from speciale.errors import DataError
from speciale.sandbox import Limits, Sandbox
from speciale.synth.gates.difficulty import LEAST_CALLS
from speciale.synth.gates.gate import Judged
from speciale.synth.gates.static import findings
from speciale.synth.gates.values import canonical
from speciale.synth.llm.workshop import Unreadable, Workshop
from speciale.tasks.arguments import argument_faults
from speciale.tasks.synthesised.family import Family, TaskAbout, TaskFiles
from speciale.tasks.synthesised.processes import Broke, roleplayer
from speciale.tasks.synthesised.signatures import tools_of
from speciale.tasks.synthesised.world import DATABASE, SCHEMA, TOOLS, World, open_world

LEAST_TABLES, LEAST_ROWS, LEAST_TOOLS, MOST_TOOLS = 2, 40, 3, 24
MOST_PROMPT = 6_000  # characters
CALLS_A_TOOL = 4  # that are tried
MOST_FAULTS, MOST_WORDS = 8, 900  # that are told at once, and characters of one

# Run inside the sandbox: tables with their rows, and some values of each column.
SURVEY = """
import json, sqlite3
link = sqlite3.connect("file:data.sqlite?mode=ro&immutable=1", uri=True)
link.text_factory = lambda data: data.decode(errors="replace")
found = {"rows": {}, "values": {}}
names = link.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
for (name,) in [row for row in names if not row[0].startswith("sqlite_")][:100]:
    quoted = '"' + name.replace('"', '""') + '"'
    found["rows"][name] = link.execute("SELECT COUNT(*) FROM " + quoted).fetchone()[0]
    rows = link.execute("SELECT * FROM " + quoted + " LIMIT 6")
    for row in rows:
        for about, value in zip(rows.description, row):
            kept = found["values"].setdefault(about[0], [])
            if isinstance(value, (str, int, float)) and value not in kept and len(kept) < 8:
                kept.append(value[:200] if isinstance(value, str) else value)
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Survey:
    """What is in a database: rows by table, some values by column."""

    rows: Mapping[str, int] = field(default_factory=dict)
    values: Mapping[str, Sequence[Any]] = field(default_factory=dict)


async def survey_data(
    files: Mapping[str, bytes], sandbox: Sandbox
) -> tuple[Survey | None, list[str]]:
    """Of schema.sql and data.sqlite: what is in them, or why they cannot be used."""
    try:
        async with roleplayer("world", {name: files[name] for name in (SCHEMA, DATABASE)}, sandbox):
            pass
    except Broke as error:
        return None, [
            f"{error}. Make data.sqlite by running the text of schema.sql with executescript in a "
            "new database, and by INSERT after that, with nothing else; use no WAL mode."
        ]
    outcome = await sandbox.run(
        ["python3", "-I", "-S", "-c", SURVEY],
        files={DATABASE: files[DATABASE]},
        limits=Limits(wall_s=20, cpu_s=20),
    )
    try:
        found = json.loads(outcome.stdout)
        rows = {str(name): int(count) for name, count in found["rows"].items()}
        survey = Survey(rows, {str(key): list(each) for key, each in found["values"].items()})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        said = outcome.stderr.decode(errors="replace").strip()[-300:]
        return None, [f"data.sqlite cannot be looked through: {said or outcome.stopped}"]
    faults = []
    if len(rows) < LEAST_TABLES:
        faults.append(f"data.sqlite has {len(rows)} tables: at least {LEAST_TABLES}, with keys.")
    if sum(rows.values()) < LEAST_ROWS:
        faults.append(f"data.sqlite has {sum(rows.values())} rows: at least {LEAST_ROWS} in all.")
    return (None if faults else survey), faults


async def tools_faults(family: Family, survey: Survey, sandbox: Sandbox) -> list[str]:
    """Of tools.py: its form, its imports, and calls with values out of the database."""
    try:
        text = family.files[TOOLS].decode()
        tools = tools_of(text)
    except (DataError, UnicodeDecodeError) as error:
        return [f"{error}."]
    except (RecursionError, MemoryError):
        return ["tools.py is nested too deeply: write plainer code."]
    faults = [f"tools.py, {each}." for each in findings(text, database=True)]
    if not LEAST_TOOLS <= len(tools) <= MOST_TOOLS:
        faults.append(
            f"tools.py has {len(tools)} tools: between {LEAST_TOOLS} and {MOST_TOOLS} functions "
            "without a leading underscore."
        )
    for tool in tools:
        faults += _undescribed(tool["function"])
    if faults:
        return faults
    try:
        async with open_world(family, sandbox) as world:
            await world.start()
            for tool in tools:
                faults += await _tried(world, tool, survey)
    except (Broke, DataError) as error:
        faults.append(f"{error}.")
    return faults


def _undescribed(function: Mapping[str, Any]) -> Iterator[str]:
    name, properties = function["name"], function["parameters"].get("properties", {})
    if function.get("description") in (None, "", name):
        yield f"The tool {name} has no docstring: say what it does in one sentence."
    lacking = [key for key, schema in properties.items() if not schema.get("description")]
    if lacking:
        yield f"The docstring of {name} has no line under `Args:` about {', '.join(lacking)}."


async def _tried(world: World, tool: Mapping[str, Any], survey: Survey) -> list[str]:
    """A fault where a call ends in anything but a value or a ValueError."""
    name = tool["function"]["name"]
    for arguments in sample_arguments(tool, survey.values):
        call = await world.make(name, arguments)
        if call.error is not None and call.bug:
            given = json.dumps(arguments, ensure_ascii=False)[:200]
            return [
                f"The tool {name} failed with the arguments {given}: {call.error}. A tool raises "
                "ValueError with a sentence for what it cannot do, and nothing else."
            ]
    return []


def sample_arguments(
    tool: Mapping[str, Any], values: Mapping[str, Sequence[Any]]
) -> Iterator[dict[str, Any]]:
    """A few sets of arguments that fit the schema, out of columns of the same names if there are
    any; none where no such values are known."""
    schema = tool["function"]["parameters"]
    required, properties = schema.get("required", []), schema.get("properties", {})
    choices = [list(_choices(key, properties.get(key, {}), values))[:4] for key in required]
    given = 0
    for each in itertools.islice(itertools.product(*choices), 64):
        arguments = dict(zip(required, each))
        if not argument_faults(tool, arguments):
            given += 1
            yield arguments
        if given == CALLS_A_TOOL:
            return


def _choices(
    key: str, schema: Mapping[str, Any], values: Mapping[str, Sequence[Any]]
) -> Iterator[Any]:
    if "anyOf" in schema:
        for each in schema["anyOf"]:
            yield from itertools.islice(_choices(key, each, values), 2)
        return
    if "enum" in schema or "const" in schema:
        yield from schema.get("enum", [schema.get("const")])
        return
    kind = schema.get("type")
    if kind == "array":
        yield from ([each] for each in _choices(key.rstrip("s"), schema.get("items") or {}, values))
        return
    if kind in ("object", None):
        yield {}
        return
    alike = [column for column in values if column == key]
    alike += [column for column in values if column != key and (column in key or key in column)]
    pools = [values[column] for column in (alike or values)]
    yield from itertools.islice(
        (each for pool in pools for each in pool if _KINDS.get(str(kind), _never)(each)), 3
    )
    yield from {"integer": (1,), "number": (1.0,), "boolean": (True,), "string": ("x",)}.get(
        str(kind), ()
    )


def _never(_: Any) -> bool:
    return False


_KINDS = {
    "string": lambda each: isinstance(each, str),
    "integer": lambda each: isinstance(each, int),
    "number": lambda each: isinstance(each, int | float),
}


async def read_task(
    workshop: Workshop, number: str, level: int, easier: str | None
) -> tuple[TaskFiles | None, list[str]]:
    """The task that a model was to write as `number`, of the level that it was asked for; or what
    cannot be read of it."""
    texts, faults = {}, []
    for name in ("task.json", "solution.py", "verify.py"):
        try:
            texts[name] = await workshop.text(f"tasks/{number}/{name}")
        except Unreadable as error:
            faults.append(f"{error}")
    if faults:
        return None, faults
    try:
        about = _about(texts.pop("task.json"), level, easier)
    except DataError as error:
        return None, [f"tasks/{number}/task.json: {error}"]
    return TaskFiles(about, {name: text.encode() for name, text in texts.items()}), []


def _about(text: str, level: int, easier: str | None) -> TaskAbout:
    """Level and place are ours, the rest is the model's. DataError says what cannot be."""
    try:
        found = json.loads(text, parse_constant=_no_number)
        if not isinstance(found, dict):
            raise DataError("it is no object")
        json.dumps(found, ensure_ascii=False).encode()
        about = TaskAbout.model_validate({**found, "level": level, "harder_than": easier})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(f"{where}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"it cannot be read: {error}") from None
    if len(about.prompt) > MOST_PROMPT:
        raise DataError(f"the prompt has {len(about.prompt):,} characters: {MOST_PROMPT:,} at most")
    if not about.answer_schema or not about.pattern:
        raise DataError("answer_schema and pattern have to be there")
    return about


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def holds(judged: Judged | None) -> bool:
    """All gates but the seventh, which is about the store, passed."""
    return judged is not None and {gate.number for gate in judged.gates if gate.passed} >= {
        1, 2, 3, 4, 5, 6, 8,
    }  # fmt: skip


def task_faults(judged: Mapping[str, Judged], hints: Mapping[int, str]) -> list[str]:
    """What the gates have against tasks, with what a gate wants (`hints`, by its number)."""
    faults = []
    for number, one in sorted(judged.items()):
        gate = one.refusal
        if gate is None:
            continue
        said = f"Task {number} is refused by gate {gate.number} ({gate.name}): {gate.reason}"
        evidence = _evidence(gate.number, gate.evidence)
        faults.append(
            " ".join(filter(None, [said[:MOST_WORDS], evidence, hints.get(gate.number, "")]))
        )
    return faults


def _evidence(number: int, evidence: Mapping[str, Any]) -> str:
    if number == 1 and evidence.get("trace"):
        last = canonical(evidence["trace"][-2:])
        return f"The last calls were {last[:600]}"
    if number == 3:
        return f"The solution's answer is {canonical(evidence.get('answer'))[:400]}"
    if number == 6:
        kept = {key: evidence[key] for key in ("calls", "space_log10", "easier") if key in evidence}
        return f"Measured: {canonical(kept)[:400]}; at least {LEAST_CALLS} calls always."
    if number == 8:
        return f"{evidence.get('passed')} of {evidence.get('attempts')} attempts passed."
    return ""
