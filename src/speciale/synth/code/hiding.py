"""Takes the tests that show a bug out of the files that an attempt sees; they are judged by them.

V3.2 report, 3.2.3, code agent: the tests of the gold patch are hidden.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from speciale.tasks.synthesised.repository.tree import Tree


def without_tests(tree: Mapping[str, bytes], ids: Iterable[str]) -> Tree:
    """The tree without the functions of these tests (`file.py::Class::test[values]`), as far as
    they stand in its files as functions; their files keep all else. A file of another language goes
    as a whole where others are left."""
    by_file: dict[str, set[tuple[str, ...]]] = {}
    for name in ids:
        file, *inner = name.split("::")
        if file in tree:
            function = inner[-1].split("[")[0] if inner else ""
            by_file.setdefault(file, set()).add((*inner[:-1], function))
    result = dict(tree)
    for file in sorted(by_file):
        if file.endswith(".py"):
            result[file] = _without_functions(tree[file], by_file[file])
        elif _spare(tree, file, by_file):
            del result[file]
    return result


def _spare(tree: Mapping[str, bytes], file: str, gone: Mapping[str, object]) -> bool:
    """Whether a test file can go: others like it stay, and none of them names it."""
    path = PurePosixPath(file)
    beside = [each for each in tree if PurePosixPath(each).parent == path.parent and each != file]
    stays = [each for each in beside if each not in gone and each.endswith(path.suffix)]
    return bool(stays) and not any(path.stem.encode() in tree[each] for each in beside)


def _without_functions(data: bytes, names: set[tuple[str, ...]]) -> bytes:
    try:
        tree = ast.parse(data)
    except (SyntaxError, ValueError):
        return data
    lines = data.split(b"\n")
    ranges: list[tuple[int, int, bytes | None]] = []

    def walk(body: list[ast.stmt], groups: tuple[str, ...]) -> None:
        gone = []
        for node in body:
            if isinstance(node, ast.ClassDef):
                walk(node.body, (*groups, node.name))
            elif (
                isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                and (*groups, node.name) in names
            ):
                gone.append(node)
        for node in gone:
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            last = len(gone) == len(body) and node is gone[-1]
            filler = b" " * node.col_offset + b"pass" if last else None
            ranges.append((first - 1, node.end_lineno, filler))

    walk(tree.body, ())
    for first, end, filler in sorted(ranges, reverse=True):
        if lines[first][: len(lines[first]) - len(lines[first].lstrip())].strip():
            continue
        lines[first:end] = [] if filler is None else [filler]
        if filler is None:  # the blank lines that stood behind it
            while first < len(lines) - 1 and not lines[first].strip() and first > 0 \
                    and not lines[first - 1].strip():  # fmt: skip
                del lines[first]
    changed = b"\n".join(lines)
    try:
        ast.parse(changed)
    except SyntaxError:
        return data
    return changed
