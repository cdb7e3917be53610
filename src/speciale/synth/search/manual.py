"""The Python documentation: one document a definition or section, cut where a line ends with ¶.

Without the HTML pages the standard library's docstrings give the same form; they are read from the
syntax tree, nothing is imported.
"""

from __future__ import annotations

import ast
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from speciale.synth.search.relations import Relation, Vocabulary

HTML = ("/usr/share/doc/python3/html/library", "/usr/share/doc/python3-doc/html/library")
_MARK = "¶"
_FOOT = re.compile(r"\n\|?\s*(?:Table of Contents|Navigation)\n")
_NAME = re.compile(r"(?:[a-z]+ )*([A-Za-z_][\w.]*)(?:\(|$|:| =)")


def html_folder() -> Path | None:
    """Where a package of the documentation put its pages."""
    found = sorted(Path("/usr/share/doc").glob("python3.*/html/library"))
    return next((path for path in [*map(Path, HTML), *reversed(found)] if path.is_dir()), None)


def definitions(path: str, text: str) -> Iterator[tuple[str, str]]:
    """(title, text) of each piece of a page; none for a page without marks."""
    page = path.removesuffix(".html")
    lines = text.split("\n")
    starts = [number for number, line in enumerate(lines) if line.endswith(_MARK)]
    if not starts:
        return
    about = lines[starts[0]][:-1].strip()
    for start, end in zip(starts, [*starts[1:], len(lines)]):
        head = lines[start][:-1].strip()
        body = _FOOT.split("\n".join(lines[start + 1 : end]))[0].strip()
        name = _NAME.match(head)
        title = name[1] if name and (page == "functions" or "." in name[1]) else f"{page}: {head}"
        yield title[:150], f"{head}\nPage: {page} ({about})\n\n{body}\n"


def library() -> Iterator[tuple[str, str]]:
    """(path, source) of the standard library's public modules."""
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted([*root.glob("*.py"), *root.glob("*/*.py")]):
        parts = path.relative_to(root).with_suffix("").parts
        public = not any(part.startswith("_") and part != "__init__" for part in parts)
        if public and parts[0] not in ("test", "idlelib", "lib2to3", "site-packages"):
            yield ".".join(part for part in parts if part != "__init__"), str(path)


def docstrings(module: str, source: str) -> Iterator[tuple[str, str]]:
    """(title, text) of a module, its functions, its classes and their methods."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return
    about = (ast.get_docstring(tree) or "").strip()
    first = about.split("\n")[0] or module
    head = f"Page: {module} ({first})\n\n"
    if about:
        yield module, f"module {module}\n{head}{about}\n"
    yield from _defined(module, tree.body, head, f"{module}.")


def _defined(
    module: str, body: list[ast.stmt], head: str, before: str
) -> Iterator[tuple[str, str]]:
    for node in body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        said = (ast.get_docstring(node) or "").strip()
        name = before + node.name
        if node.name.startswith("_"):
            continue
        if isinstance(node, ast.ClassDef):
            bases = ", ".join(ast.unparse(base) for base in node.bases)
            if said:
                yield name, f"class {name}({bases})\n{head}{said}\n"
            yield from _defined(module, node.body, head, f"{name}.")
        elif said:
            yield name, f"{name}({ast.unparse(node.args)})\n{head}{said}\n"


_VERSION = r"(\d+(?:\.\d+)+)"

VOCABULARY = Vocabulary(
    kind="python",
    noun="entry",
    nouns="entries",
    key="entry",
    name="the entry's title",
    about="a reference manual of Python's library, one document an entry (a definition or section)",
    relations=(
        Relation(
            name="page",
            pattern=r"^Page: (\S+) \(",
            label="Page:",
            says=("is on the page {v}", "belongs to the page {v}"),
            denies=("is not on the page {v}", "belongs to another page than {v}"),
            asks="the page it is on (the word after 'Page:')",
            shared="is on the same page as {e}",
            kin=True,
        ),
        Relation(
            name="declared",
            pattern=r"\A[^\n]*\n(class|exception|coroutine|classmethod|staticmethod|property"
            r"|abstractmethod|module|async with|async for) ",
            place="head",
            says=('has a head line that begins with the word "{v}"',),
            denies=('has a head line that does not begin with the word "{v}"',),
        ),
        Relation(
            name="new_in",
            pattern=rf"^New in version {_VERSION}",
            first=True,
            label="New in version",
            says=("is new in version {v}", 'says "New in version {v}"'),
            denies=('does not say "New in version {v}"',),
            asks='the version in its first line that begins with "New in version"',
        ),
        Relation(
            name="changed_in",
            pattern=rf"^Changed in version {_VERSION}",
            label="Changed in version",
            says=("was changed in version {v}", "notes a change in version {v}"),
            denies=("notes no change in version {v}",),
        ),
        Relation(
            name="first_change",
            pattern=rf"^Changed in version {_VERSION}",
            first=True,
            label="Changed in version",
            says=(),
            denies=(),
            asks='the version in its first line that begins with "Changed in version"',
        ),
        Relation(
            name="deprecated",
            pattern=rf"^Deprecated since version {_VERSION}",
            first=True,
            label="Deprecated since version",
            says=("is deprecated since version {v}",),
            denies=("is not marked as deprecated since version {v}",),
            asks='the version in its line that begins with "Deprecated since version"',
        ),
        Relation(
            name="exception",
            pattern=r"\b([A-Z][A-Za-z]+(?:Error|Exception|Warning|Interrupt))\b",
            says=("mentions {v}", "speaks of {v}"),
            denies=("does not mention {v}",),
        ),
        Relation(
            name="parameter",
            pattern=r"\A[^\n]*\n[^\n(]*\(([^\n]*)\)",
            split=r",",
            clean=r"=.*|:.*|[*\[\]/\s()'\"]|^.*[^\w*\[\]\s=:].*$",
            place="head",
            says=("takes a parameter called {v}", "has a parameter {v} in its head line"),
            denies=("has no parameter {v} in its head line",),
        ),
        Relation(
            name="first_parameter",
            pattern=r"\A[^\n]*\n[^\n(]*\((?:\[)?([A-Za-z_]\w*)[^\n]*\)",
            place="head",
            first=True,
            says=(),
            denies=(),
            asks="the name of the first parameter in its head line",
        ),
        Relation(
            name="parameters",
            pattern=r"\A[^\n]*\n[^\n(]*\(([^\n]*)\)",
            split=r",",
            clean=r"=.*|:.*|[*\[\]/\s()'\"]|^.*[^\w*\[\]\s=:].*$",
            place="head",
            counts=True,
            number=True,
            says=(),
            denies=(),
            above="has more than {v} parameters in its head line",
            below="has fewer than {v} parameters in its head line",
            most="the most parameters in its head line",
            least="the fewest parameters in its head line",
            asks="the number of parameters in its head line",
        ),
        Relation(
            name="event",
            pattern=r"Raises an auditing event (\S+)",
            label="Raises an auditing event",
            says=("raises the auditing event {v}",),
            denies=("does not raise the auditing event {v}",),
            asks="the auditing event that it raises",
            first=True,
        ),
        Relation(
            name="availability",
            pattern=r"^Availability: (.*)$",
            split=r",",
            clean=r"\.$",
            label="Availability:",
            says=('lists "{v}" under Availability',),
            denies=('does not list "{v}" under Availability',),
            asks="",
        ),
        Relation(
            name="head_line",
            pattern=r"\A[^\n]*\n([^\n]*\([^\n]*\))$",
            place="head",
            first=True,
            says=(),
            denies=(),
            asks="its head line (the line before 'Page:'), in full",
        ),
        Relation(
            name="mentions",
            pattern=r"\b([A-Za-z_][\w.]*\w)\(\)",
            after="()",
            says=("mentions {v}()", "refers to {v}()"),
            denies=("does not mention {v}()",),
            among="the entries that {e} mentions by their title with () behind it",
            rare=True,
        ),
        Relation(
            name="constant",
            pattern=r"\b([A-Z][A-Z0-9]+_[A-Z0-9_]+)\b",
            says=("mentions {v}", "speaks of {v}"),
            denies=("does not mention {v}",),
            shared="mentions a constant (in capitals with an underscore) that {e} mentions too",
            rare=True,
        ),
    ),
)
