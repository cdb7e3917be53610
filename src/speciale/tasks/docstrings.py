"""Question and answer pairs out of the docstrings of the Python standard library.

The sources are parsed, never imported (`ast.get_docstring`): real prose, on every machine that
runs Python, with nothing to download. PEP 257 makes the first sentence say what the thing does.
"""

import ast
import re
import sysconfig
import warnings
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from random import Random

from speciale.errors import DataError
from speciale.tasks.problem import check_split, split_of

MIN_ANSWER, MAX_ANSWER = 15, 160  # characters

# Tests, programs that ship with Python, and what pip or the distribution put beside it.
SKIPPED = {
    "test",
    "tests",
    "idlelib",
    "lib2to3",
    "turtledemo",
    "ensurepip",
    "site-packages",
    "dist-packages",
}

# A full stop ends a sentence unless it belongs to one of the usual abbreviations.
SENTENCE = re.compile(r".+?(?<!e\.g)(?<!i\.e)(?<!etc)(?<! vs)[.!?](?=\s+[A-Z(\"'`]|$)")
SIGNATURE = re.compile(r"[\w.]+\s*\(.*\)(\s*->.*)?$")


def docstring_questions(seed: int, split: str) -> Iterator[tuple[str, str]]:
    """(question, answer) pairs, each once, in an order shuffled by `seed`.

    "What does textwrap.dedent do?" is answered by the first sentence of its docstring, of at
    most 160 characters. `split` is "train" or "heldout". Which pairs there are depends on the
    version of Python alone. Raises DataError for an unknown split or a Python without sources.
    """
    check_split(split)
    pairs = [pair for pair in _pairs(_library()) if split_of("docstrings", pair[0]) == split]
    Random(seed).shuffle(pairs)
    return iter(pairs)


def _library() -> Path:
    return Path(sysconfig.get_path("stdlib"))


@lru_cache(maxsize=1)
def _pairs(root: Path) -> tuple[tuple[str, str], ...]:
    """Every pair below a folder of Python sources, by module name; about two seconds."""
    found: dict[str, str] = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        module = parts[:-1] if parts[-1] == "__init__" else parts
        if SKIPPED & set(module) or any(part.startswith("_") or "-" in part for part in module):
            continue
        for question, docstring in _documented(path, ".".join(module)):
            answer = first_sentence(docstring)
            if answer is not None:
                found.setdefault(question, answer)
    if not found:
        raise DataError(
            f"There are no Python sources with docstrings in {root}; "
            "use a Python that ships its standard library as .py files."
        )
    return tuple(found.items())


def _documented(path: Path, module: str) -> Iterator[tuple[str, str]]:
    """(question, docstring) of a module and its public classes, functions and methods."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old escapes in a source are not the reader's concern
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):  # templates that are no valid Python
            return
    if text := ast.get_docstring(tree):
        yield f"What is the Python module {module} for?", text
    yield from _members(tree, module)


def _members(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[str, str]]:
    for child in node.body:
        if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if child.name.startswith("_"):
            continue
        name = f"{prefix}.{child.name}"
        is_class = isinstance(child, ast.ClassDef)
        if text := ast.get_docstring(child):
            yield (f"What is the class {name}?" if is_class else f"What does {name} do?"), text
        if is_class:
            yield from _members(child, name)


def first_sentence(docstring: str) -> str | None:
    """The first sentence on one line, or None where it is too long, too short or no prose."""
    for paragraph in re.split(r"\n\s*\n", docstring.strip())[:2]:
        text = " ".join(paragraph.split())
        if SIGNATURE.match(text):  # "name(arguments) -> result": the prose comes after it
            continue
        match = SENTENCE.match(text)
        sentence = match.group() if match else text
        prose = re.match(r"[\"'`A-Za-z]", sentence) and not sentence.endswith((":", ",", "..."))
        fits = MIN_ANSWER <= len(sentence) <= MAX_ANSWER
        return sentence if prose and fits and ">>>" not in sentence else None
    return None
