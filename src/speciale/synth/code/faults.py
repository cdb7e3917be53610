"""Makes bugs in a repository and keeps those that its tests notice: F2P above 0.

V3.2 report, 3.2.3, code agent. Each is one edit of the source, or several for harder tasks; what no
test notices, what breaks nearly everything and what hangs is counted and left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from random import Random

from speciale.synth.code.environments import Built
from speciale.synth.code.mutations import Edit, python_edits, sound
from speciale.synth.code.mutations_javascript import javascript_edits
from speciale.tasks.synthesised.repository.languages import Language
from speciale.tasks.synthesised.repository.runs import Run
from speciale.tasks.synthesised.repository.tree import Tree

WANTED, TRIES = 10, 36  # bugs of one edit in a family, and how many are tried for them
PAIRS, TRIPLES = 3, 1
BROADEST = 0.3  # of the tests, which a bug may break
ASIDE = {"docs", "doc", "examples", "example", "benchmark", "benchmarks", "scripts", "tools",
         "build", "bench", "perf", "dist", "utils_dev", "tasks", "_vendor", "vendor"}  # fmt: skip


@dataclass(frozen=True)
class Bug:
    """Edits of one tree that its tests notice. `run`: all tests over the tree with them."""

    edits: tuple[Edit, ...]
    tree: Tree
    run: Run
    f2p: tuple[str, ...]
    p2p: tuple[str, ...]
    harder_than: int | None = None  # the place of an easier one in the list


@dataclass
class Made:
    bugs: list[Bug] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)  # of what was tried, by what came of it


def sources_of(tree: Tree, language: Language) -> list[str]:
    """The files in which bugs are made: no tests, documentation, or scripts around the package."""
    return [
        path
        for path in sorted(tree)
        if path.endswith(language.sources)
        and not language.fixed(path)
        and not ASIDE & set(PurePosixPath(path).parts[:-1])
        and not PurePosixPath(path).name.startswith(("_version", "__about__", "."))
    ]


def edits_of(tree: Tree, language: Language) -> list[Edit]:
    """All places of all operators: what a bug may be, and what a search for it looks through."""
    find = python_edits if language.name == "python" else javascript_edits
    return [edit for path in sources_of(tree, language) for edit in find(path, tree[path])]


def edited(tree: Tree, edits: Sequence[Edit]) -> Tree:
    """The tree with edits on it that do not overlap."""
    result = dict(tree)
    for edit in sorted(edits, reverse=True):
        result[edit.path] = edit.apply(result[edit.path])
    return result


def shuffled(edits: Sequence[Edit], random: Random) -> list[Edit]:
    """In a random order in which every operator and every function has its turn."""
    by_operator: dict[str, list[Edit]] = {}
    for edit in edits:
        by_operator.setdefault(edit.operator, []).append(edit)
    for group in by_operator.values():
        random.shuffle(group)
    order: list[Edit] = []
    scopes: set[tuple[str, str]] = set()
    while by_operator:
        for operator in random.sample(sorted(by_operator), len(by_operator)):
            group = by_operator[operator]
            edit = group.pop()
            if not group:
                del by_operator[operator]
            if (edit.path, edit.scope) not in scopes:
                scopes.add((edit.path, edit.scope))
                order.append(edit)
    return order


async def make_bugs(built: Built, random: Random, wanted: int = WANTED, tries: int = TRIES) -> Made:
    """Bugs of one edit each, in functions of their own, then pairs and triples of those."""
    made, language = Made(), built.bench.language
    edits = edits_of(built.tree, language)
    made.counts["places"] = len(edits)
    for edit in shuffled(edits, random):
        if len(made.bugs) >= wanted or made.counts["tried"] >= tries:
            break
        if language.name == "python" and not sound(edit, built.tree[edit.path]):
            continue
        if bug := await _tried(built, (edit,), made, None):
            made.bugs.append(bug)
    singles = len(made.bugs)
    for size, most in ((2, PAIRS), (3, TRIPLES)):
        for _ in range(most):
            if singles < size + 1:
                break
            chosen = random.sample(range(singles), size)
            easier = chosen[0]
            if size == 3:  # one more than a pair
                pairs = [at for at, bug in enumerate(made.bugs) if len(bug.edits) == 2]
                if not pairs:
                    break
                easier = random.choice(pairs)
                rest = [at for at in range(singles)
                        if made.bugs[at].edits[0] not in made.bugs[easier].edits]  # fmt: skip
                edits = (*made.bugs[easier].edits, *made.bugs[random.choice(rest)].edits)
            else:
                edits = tuple(edit for at in chosen for edit in made.bugs[at].edits)
            if any(set(edits) == set(bug.edits) for bug in made.bugs):
                continue
            if bug := await _tried(built, edits, made, easier):
                made.bugs.append(bug)
    return made


async def _tried(
    built: Built, edits: tuple[Edit, ...], made: Made, harder_than: int | None
) -> Bug | None:
    made.counts["tried"] += len(edits) == 1
    tree = edited(built.tree, edits)
    run = await built.bench.run(tree)
    failing = tuple(sorted(name for name in built.steady if run.of(name) != "passed"))
    if run.trouble or any("took longer than" in text for text in run.failures.values()):
        made.counts["hangs, or breaks the run"] += 1
    elif not failing:
        made.counts["no test notices"] += 1
    elif len(failing) > max(BROADEST * len(built.steady), 3):
        made.counts["breaks too much"] += 1
    elif not any(name in run.failures for name in failing):
        made.counts["no failure says anything"] += 1
    else:
        passing = tuple(sorted(name for name in built.steady if run.of(name) == "passed"))
        made.counts["kept"] += 1
        return Bug(edits, tree, run, failing, passing, harder_than)
    return None
