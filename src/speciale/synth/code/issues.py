"""The text of an issue, out of how tests fail: what was called, what was expected, what came.

V3.2 report, 3.2.3, code agent: prompts read as reports of users. Of a failure only what a user sees
is told: the test's own lines and the error, and no line of the code where the bug is.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

_FRAME = re.compile(r"^(\S[^\n:]*\.\w+):(\d+): in (\S.*)$")
_ADDRESS = re.compile(r"0x[0-9a-f]{6,}")
_PLACE = re.compile(r"/tmp/[^\s'\"`,)]+")
LINES = 16  # of a test that are shown, and of a difference
LONG = 100  # characters of a value, beyond which the difference says more
_SAID = re.compile(r"^E   ?(.*)$")
_EQUAL = re.compile(r"(?s)^(?:AssertionError: )?assert (.+?) (==|is|in|!=|is not|not in) (.+?)$")
_UNEQUAL = re.compile(r"(?s)^AssertionError: (.+?) != (.+?)(?: : .*)?$")
_WHERE = re.compile(r"^\+?\s*\+?\s*where (.+?) = (.+)$")

TITLES = (
    "{what}: {trouble}",
    "{trouble} ({what})",
    "Bug in {what}: {trouble}",
    "{what} - {trouble}",
)
OPENINGS = (
    "I am using {name} {version} and something is off with {what}.",
    "Since I moved to {name} {version}, {what} does not do what it should.",
    "With {name} {version} I get results that I did not expect from {what}.",
    "We found this in {name} {version} while we looked at {what}.",
    "{what} of {name} {version} behaves wrongly in the case below.",
)
EXAMPLES = ("For example:", "To see it:", "This shows it:", "Here is what I ran:", "A short case:")
ENDINGS = (
    "Please find the cause and mend it in the library's sources; the tests are right as they are.",
    "Could you look into it? The fix belongs in the sources of the library, not in its tests.",
    "What the documentation and the other tests say should go on working as it does.",
    "Everything else that works should keep working; only this should change.",
)
# What every task says in the end, a wording of each.
HOW = (
    (
        "The repository is in /work/repo.",
        "You find the sources in /work/repo.",
        "All of the code lies in /work/repo.",
        "Work in /work/repo, where the repository is.",
    ),
    (
        "Hidden tests are run on the sources as you leave them.",
        "Your sources are judged by tests that you do not see.",
        "Afterwards tests that are not in the repository run over what you left.",
        "It is checked with further tests, on the files as they are when you finish.",
    ),
    (
        "Changes to tests and to their configuration count for nothing.",
        "Tests and their settings are put back as they were before.",
        "Nothing that you change in tests or settings is kept.",
        "Only sources count; edited tests are thrown away.",
    ),
    (
        'When it is done, answer with JSON alone: {"done": true}',
        'Finish with the JSON {"done": true} and no other text.',
        'Your answer, once you are through, is JSON alone: {"done": true}',
        'Answer with nothing but {"done": true} (JSON) at the end.',
    ),
)


# Calls in a test's lines that are not what is tested.
PLAIN = ("assert", "test", "raises", "len", "list", "str", "self", "dict", "isinstance", "set",
         "tuple", "sorted", "range", "next", "type", "repr", "int", "print", "object", "require",
         "Exception", "warns", "t.", "equal", "deepEqual", "strictEqual", "same", "ok",
         "fail")  # fmt: skip


@dataclass(frozen=True)
class Failure:
    """What one failing test shows. `call`: lines of the test; `got` and `expected` where the
    failure says so."""

    test: str
    call: str
    error: str
    got: str | None = None
    expected: str | None = None
    seen: str | None = None  # a call with its values, as the runner shows it
    difference: str | None = None  # of long values, line by line


def read_failure(
    test: str, text: str, is_test: Callable[[str], bool], tree: Mapping[str, bytes]
) -> Failure | None:
    """Out of what pytest (--tb=short) or node wrote; None where it says nothing to a user. `tree`:
    the files that the lines of the text are of."""
    text = _ADDRESS.sub("0x...", _PLACE.sub("/tmp/...", text))
    file = test.split("::")[0]
    if not file.endswith(".py"):
        return _node_failure(test, text, is_test, tree)
    lines = text.strip("\n").split("\n")
    frames = [found for line in lines if (found := _FRAME.match(line))]
    said = [found[1] for line in lines if (found := _SAID.match(line))]
    at = next((int(frame[2]) for frame in frames if frame[1] == file), None)
    if not said or at is None:
        return None
    call = snippet(tree.get(file, b""), at)
    said[0] = said[0].strip()
    got = expected = seen = None
    if (pair := _EQUAL.match(said[0])) and pair[2] in ("==", "is"):
        got, expected = pair[1].strip(), pair[3].strip()
    elif pair := _UNEQUAL.match(said[0]):
        got, expected = pair[1].strip(), pair[2].strip()
    for line in said[1:]:
        where = _WHERE.match(line.strip())
        if where and "0x..." not in line and "<" not in where[2].split("(")[0]:
            seen = f"{where[2].strip()}  # gives {where[1].strip()}"
            break
    apart = [line.strip("\n") for line in said[1:] if line.strip()[:2] in ("- ", "+ ")]
    long = max(len(got or ""), len(expected or "")) > LONG
    difference = "\n".join(apart[:LINES]) if long and len(apart) > 1 else None
    if not call:
        return None
    return Failure(test, call, said[0][:400], got, expected, seen, difference)


def snippet(data: bytes, line: int) -> str:
    """The statement of a test at a line, after those before it in its function that it needs."""
    try:
        text = data.decode()
        found = [
            node
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and node.lineno <= line <= node.end_lineno
        ]
    except (ValueError, SyntaxError, RecursionError):
        return ""
    if not found:
        return ""
    rows = text.split("\n")
    function = max(found, key=lambda node: node.lineno)
    place = next(
        (at for at, each in enumerate(function.body) if each.lineno <= line <= each.end_lineno),
        None,
    )
    if place is None:
        return ""
    whole = function.body[place]
    if whole.end_lineno - whole.lineno > LINES:  # a loop or a with: what is inside
        inner = [each for each in ast.walk(whole) if isinstance(each, ast.stmt)
                 and each.lineno <= line <= each.end_lineno]  # fmt: skip
        whole = min(inner, key=lambda each: each.end_lineno - each.lineno)
    chosen, needed, length = [whole], _names(whole), whole.end_lineno - whole.lineno + 1
    for before in reversed(function.body[:place]):
        made = {node.id for node in ast.walk(before) if isinstance(node, ast.Name)
                and isinstance(node.ctx, ast.Store)}  # fmt: skip
        size = before.end_lineno - before.lineno + 1
        if (made & needed or _changes(before, needed)) and length + size <= LINES:
            chosen.insert(0, before)
            needed |= _names(before)
            length += size
    parts = [rows[node.lineno - 1 : node.end_lineno] for node in chosen][: LINES + 1]
    return "\n".join(textwrap.dedent("\n".join(part[: LINES + 2])) for part in parts).strip()


def _changes(node: ast.stmt, names: set[str]) -> bool:
    """Whether a statement calls a method of one of the names."""
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
        return False
    function = node.value.func
    while isinstance(function, ast.Attribute):
        function = function.value
    return isinstance(function, ast.Name) and function.id in names


def _names(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def _node_failure(
    test: str, text: str, is_test: Callable[[str], bool], tree: Mapping[str, bytes]
) -> Failure | None:
    """Of node's own tests, or of a program that writes TAP."""
    cause = re.search(r"cause: (\w*Error)[^:]*: (.*?)(?:\n\s+at |\n\s*\{)", text, re.DOTALL)
    point = re.search(r"(?m)^not ok \d+ (.*)$", text)
    said = cause[2] if cause else point[1] if point else ""
    said = re.sub(r"\s+", " ", said).strip()
    actual = re.search(r"(?m)^\s*actual:\s*(?:\|-\s*)?(\S.*?),?$", text)
    expected = re.search(r"(?m)^\s*expected:\s*(?:\|-\s*)?(\S.*?),?$", text)
    call = ""
    for file, line in re.findall(r"/repo/([^\s:()]+):(\d+)", text):
        if is_test(file) and file in tree:
            rows = tree[file].decode(errors="replace").split("\n")
            call = textwrap.dedent("\n".join(_statement(rows, int(line) - 1)))
            break
    if not said and not actual:
        return None
    name = f"{cause[1]}: " if cause and cause[1] != "AssertionError" else ""
    return Failure(
        test, call, f"{name}{said}"[:400],
        actual[1] if actual else None, expected[1] if expected else None,
    )  # fmt: skip


def _statement(rows: list[str], at: int) -> list[str]:
    """The line, those after it until its parentheses are closed, and the few before it."""
    first = at
    while first > 0 and at - first < 5:
        before = rows[first - 1]
        if not before.strip() or "function" in before or "=>" in before:
            break
        first -= 1
    kept = rows[first:at]
    for end, row in enumerate(rows[at : at + LINES], at + 1):
        kept.append(row)
        text = " ".join(rows[at:end])
        if text.count("(") <= text.count(")"):
            break
    return kept


def told(
    failures: Sequence[Failure], most: int, leaks: Callable[[str], bool], random: Random
) -> list[Failure]:
    """Those that tell most, different ones first, and none that would give the fix away; among
    equals any."""
    good = [each for each in failures if not leaks(shown(each))]
    random.shuffle(good)
    ranked = sorted(
        good,
        key=lambda each: (
            each.got is None, not each.seen, len(each.call) > 300, len(each.error) > 200,
        ),
    )  # fmt: skip
    kept: list[Failure] = []
    for one in ranked:
        if all(_base(one.test) != _base(each.test) for each in kept):
            kept.append(one)
    kept += [one for one in ranked if one not in kept]
    return kept[:most]


def shown(failure: Failure) -> str:
    """One failure, as a user would paste it."""
    fence = "js" if ".js" in failure.test or ".cjs" in failure.test else "python"
    parts = []
    if failure.call:
        parts.append(f"```{fence}\n{_short(failure.call, 600)}\n```")
    else:
        parts.append(f"The case “{failure.test.split('::')[-1]}”:")
    if failure.seen:
        parts.append(f"Here `{_short(failure.seen, 200)}`.")
    if failure.difference:
        parts.append("Lines with - are missing, lines with + should not be there:")
        parts.append(f"```\n{textwrap.dedent(failure.difference)}\n```")
    elif failure.got is not None and failure.expected is not None:
        expected, got = _short(failure.expected, 200), _short(failure.got, 200)
        parts.append(
            f"I expected `{expected}`, but got `{got}`."
            if expected != got
            else f"I expected `{expected}`, which is not what I got."
        )
    else:
        parts.append(f"What comes is `{_short(failure.error, 300)}`.")
    return "\n".join(parts)


def issue_text(
    failures: Sequence[Failure],
    count: int,
    name: str,
    version: str,
    random: Random,
    said: str = "",
) -> str:
    """The whole prompt. `count`: of tests that fail. `said`: a text of the repository's own people
    that comes first, for mined tasks."""
    what = _subject(failures, name)
    values = {"name": name, "version": version, "what": what}
    parts: list[str] = []
    if said:
        parts.append(said)
    else:
        trouble = random.choice(_troubles(failures[0] if failures else None))
        title = random.choice(TITLES).format(**values, trouble=trouble)
        parts.append(f"# {title[:1].upper()}{title[1:]}")
        opening = random.choice(OPENINGS).format(**values)
        parts.append(opening[:1].upper() + opening[1:])
    if failures:
        parts.append(random.choice(EXAMPLES))
        parts += [shown(each) for each in failures]
    if count > len(failures):
        more = count - len(failures)
        parts.append(f"{'There are' if more > 1 else 'There is'} {more} more "
                     f"case{'s' if more > 1 else ''} of this kind.")  # fmt: skip
    if not said:
        parts.append(random.choice(ENDINGS))
    parts.append(" ".join(random.choice(wordings) for wordings in HOW))
    return "\n\n".join(parts)


def _troubles(failure: Failure | None) -> Sequence[str]:
    if failure is None:
        return ("does not work as documented",)
    raised = re.match(r"([A-Za-z_.]*(?:Error|Exception|Hung))\b", failure.error)
    if "Hung" in failure.error:
        return ("it never comes back", "hangs", "does not end")
    if "DID NOT RAISE" in failure.error:
        return ("bad input is taken without an error", "an error is missing", "no exception comes")
    if raised and raised[1] != "AssertionError":
        name = raised[1].split(".")[-1]
        return (f"unexpected {name}", f"raises {name}", f"{name} where none should be")
    return ("wrong result", "gives something else than it should", "unexpected value",
            "the outcome is not right", "returns the wrong thing")  # fmt: skip


def _subject(failures: Sequence[Failure], name: str) -> str:
    """What is called in the tests' lines: the name that comes first and most."""
    counts: dict[str, int] = {}
    for failure in failures:
        text = failure.seen or failure.call.rsplit("\n", 1)[-1]
        for called in re.findall(r"([A-Za-z_][\w.]*)\(", f"{text}\n{failure.call}"):
            last = called.split(".")[-1]
            if not last.startswith(PLAIN):
                counts[called.removeprefix("self.")] = counts.get(called, 0) + 1
    if counts:
        return f"`{max(counts, key=counts.get)}`"
    if failures:
        words = re.sub(r"\[.*", "", failures[0].test.split("::")[-1]).removeprefix("test_")
        words = re.sub(r"\.[cm]?js$", "", words.rsplit("/", 1)[-1])
        return words.replace("_", " ").strip() or name
    return name


def cleaned_message(message: str, leaks: Callable[[str], bool], names: Sequence[str]) -> str:
    """A commit's message as an issue: without trailers, file lists, and lines that name a changed
    file or hold a changed line."""
    kept = []
    for line in message.strip().splitlines():
        bare = line.strip()
        if re.match(
            r"(?i)[\w-]+-by:|cc:|co-authored|change-id:|git-svn-id|merge (branch|pull)", bare
        ):
            continue
        if re.match(r"^[*-]?\s*[\w./-]+\.\w{1,4}\s*(?:[:(|].*)?$", bare) or leaks(bare):
            continue
        if any(name in bare for name in names):
            continue
        kept.append(re.sub(r"\s*\(?#\d+\)?$", "", line.rstrip()))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()


def _base(test: str) -> str:
    return test.split("[")[0]


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 4].rstrip() + " ..."


def leak_finder(changed: Mapping[str, str] | Sequence[str]) -> Callable[[str], bool]:
    """Whether a text holds one of the gold patch's lines, white space aside."""
    lines = [squeezed(line) for line in changed]
    lines = [line for line in lines if len(line) >= 8 and re.search(r"\w", line)]
    return lambda text: any(line in squeezed(text) for line in lines)


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)
