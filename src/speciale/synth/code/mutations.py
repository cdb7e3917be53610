"""Bugs by changing a syntax tree: each edit replaces one node's text, and the rest stays as it is.

V3.2 report, 3.2.3, code agent, for repositories whose history is not at hand.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

COMPARED = {
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "is": "is not",
    "is not": "is", "in": "not in", "not in": "in",
}  # fmt: skip
COMPUTED = {
    "+": "-", "-": "+", "*": "+", "/": "*", "//": "/", "%": "//", "<<": ">>", ">>": "<<",
    "&": "|", "|": "&", "**": "*",
}  # fmt: skip
TAKEN = ("strip", "lstrip", "rstrip", "lower", "upper", "casefold", "title", "copy", "capitalize")
RENAMED = {
    "min": "max", "max": "min", "any": "all", "all": "any", "startswith": "endswith",
    "endswith": "startswith", "find": "rfind", "rfind": "find", "lstrip": "rstrip",
    "rstrip": "lstrip", "appendleft": "append", "split": "rsplit", "partition": "rpartition",
    "floor": "ceil", "ceil": "floor",
}  # fmt: skip
_GAP = re.compile(r"#[^\n]*|\\\n")


@dataclass(frozen=True, order=True)
class Edit:
    """Bytes `start` to `end` of a file are replaced by `new`. `scope`: the function around it."""

    path: str
    start: int
    end: int
    new: bytes
    operator: str
    line: int
    scope: str

    def apply(self, data: bytes) -> bytes:
        return data[: self.start] + self.new + data[self.end :]


def python_edits(path: str, data: bytes) -> list[Edit]:
    """Every edit that one of the operators could make in a Python file, in order; none if it is no
    Python. Each leaves a file that parses, to another tree."""
    try:
        text = data.decode()
        tree = ast.parse(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return []
    if data.startswith(b"\xef\xbb\xbf") or b"\r" in data or b"\f" in data:
        return []  # offsets of the tree would not be those of the bytes
    finder = _Finder(path, data, tree)
    return sorted(set(finder.found))


class _Finder:
    def __init__(self, path: str, data: bytes, tree: ast.Module) -> None:
        self._path, self._data = path, data
        self._starts = [0]
        for line in data.split(b"\n"):
            self._starts.append(self._starts[-1] + len(line) + 1)
        self.found: list[Edit] = []
        self._walk(tree, "", False)

    def _walk(self, node: ast.AST, scope: str, inside: bool) -> None:
        """Statements of modules and classes are constants and tables: bugs go into functions."""
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                if _is_overload(child):
                    continue
                name = f"{scope}.{child.name}" if scope else child.name
                self._defaults(child, name)
                for statement in child.body:
                    self._statement(statement, name)
            elif isinstance(child, ast.ClassDef):
                self._walk(child, f"{scope}.{child.name}" if scope else child.name, inside)
            elif isinstance(child, ast.If | ast.Try | ast.With):
                self._walk(child, scope, inside)

    def _statement(self, node: ast.AST, scope: str) -> None:
        """A statement of a function and all below it, without annotations and docstrings."""
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self._walk(ast.Module([node], []), scope, True)
            return
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return
        for operator, start, end, new in self._edits(node):
            self._add(operator, start, end, new, node, scope)
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns") or isinstance(node, ast.Raise | ast.Assert):
                continue  # what an error says is seldom tested
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    self._statement(child, scope)

    def _defaults(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: str) -> None:
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if isinstance(default, ast.Constant):
                for new in _other(default.value):
                    self._add("wrong default", *self._span(default), new, default, scope)

    def _add(
        self, operator: str, start: int, end: int, new: str, node: ast.AST, scope: str
    ) -> None:
        edit = Edit(self._path, start, end, new.encode(), operator, node.lineno, scope)
        if self._data[start:end] != edit.new:
            self.found.append(edit)

    def _edits(self, node: ast.AST) -> Iterator[tuple[str, int, int, str]]:
        if edits := _EDITS.get(type(node)):
            yield from edits(self, node)

    # --- one operator a method --------------------------------------------------------------------

    def _compare(self, node: ast.Compare) -> Iterator[tuple[str, int, int, str]]:
        left = node.left
        for right in node.comparators:
            found = self._between(left, right, r"<=|>=|==|!=|<|>|is\s+not|not\s+in|is|in")
            if found and (new := COMPARED.get(re.sub(r"\s+", " ", found[2]))):
                yield "comparison", found[0], found[1], new
            left = right

    def _boolean(self, node: ast.BoolOp) -> Iterator[tuple[str, int, int, str]]:
        word = "and" if isinstance(node.op, ast.And) else "or"
        for at, (left, right) in enumerate(zip(node.values, node.values[1:])):
            if found := self._between(left, right, word):
                if len(node.values) == 2:
                    yield "boolean operator", *found[:2], "or" if word == "and" else "and"
                if self._text(left) and self._gap_is_plain(left, right):
                    # One condition of several is gone, with the operator after it.
                    yield "dropped condition", self._span(left)[0], self._span(right)[0], ""
                    if at == len(node.values) - 2:
                        yield "dropped condition", self._span(left)[1], self._span(right)[1], ""

    def _arithmetic(self, node: ast.BinOp) -> Iterator[tuple[str, int, int, str]]:
        if isinstance(node.left, ast.Constant) and isinstance(node.left.value, str | bytes):
            return
        found = self._between(node.left, node.right, r"\*\*|//|<<|>>|[-+*/%&|]")
        if found and (new := COMPUTED.get(found[2])):
            yield "arithmetic", found[0], found[1], new

    def _unary(self, node: ast.UnaryOp) -> Iterator[tuple[str, int, int, str]]:
        start, end = self._span(node)
        if isinstance(node.op, ast.Not):
            inner = self._data[start + 3 : end].decode()
            # Parentheses that follow stand around the operand alone or not: both stay as they are.
            yield "dropped not", start, end, inner.lstrip()
        elif isinstance(node.op, ast.USub):
            yield "sign", start, end, self._data[start + 1 : end].decode().lstrip()

    def _constant(self, node: ast.Constant) -> Iterator[tuple[str, int, int, str]]:
        if isinstance(node.value, bool) or type(node.value) is int:
            for new in _other(node.value):
                yield "constant", *self._span(node), new

    def _call(self, node: ast.Call) -> Iterator[tuple[str, int, int, str]]:
        function, start, end = node.func, *self._span(node)
        plain = [each for each in node.args if not isinstance(each, ast.Starred)]
        if len(plain) >= 2 and len(plain) == len(node.args):
            first, second = plain[0], plain[1]
            if self._text(first) != self._text(second) and not isinstance(first, ast.GeneratorExp):
                gap = self._data[self._span(first)[1] : self._span(second)[0]].decode()
                swapped = f"{self._text(second)}{gap}{self._text(first)}"
                yield "swapped arguments", self._span(first)[0], self._span(second)[1], swapped
        if isinstance(function, ast.Attribute):
            if function.attr in TAKEN and not node.keywords and len(node.args) < 2:
                yield "dropped call", start, end, self._text(function.value)
            name_end = self._span(function)[1]
            if new := RENAMED.get(function.attr):
                yield "wrong function", name_end - len(function.attr), name_end, new
        elif isinstance(function, ast.Name):
            if new := RENAMED.get(function.id):
                yield "wrong function", *self._span(function), new
            if function.id == "sorted" and len(node.args) == 1 and not node.keywords:
                yield "wrong function", *self._span(function), "list"
            if function.id in ("abs", "reversed") and len(node.args) == 1:
                yield "dropped call", start, end, f"({self._text(node.args[0])})"

    def _if(self, node: ast.If) -> Iterator[tuple[str, int, int, str]]:
        start, end = self._span(node.test)
        plain = isinstance(node.test, ast.Name | ast.Attribute | ast.Call | ast.Subscript)
        if plain:
            yield "negated condition", start, end, f"not {self._text(node.test)}"
        if node.orelse and not (len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If)):
            first, last = node.orelse[0], node.orelse[-1]
            if not isinstance(first, ast.Raise | ast.Pass):
                yield "dropped else branch", self._span(first)[0], self._span(last)[1], "pass"
        only = node.body[0]
        if len(node.body) == 1 and isinstance(only, ast.Return | ast.Continue | ast.Break):
            yield "dropped early exit", *self._span(only), "pass"
        if len(node.body) == 1 and isinstance(only, ast.Assign | ast.AugAssign):
            yield "dropped branch", *self._span(only), "pass"

    def _choice(self, node: ast.IfExp) -> Iterator[tuple[str, int, int, str]]:
        body, other = self._text(node.body), self._text(node.orelse)
        middle = self._data[self._span(node.body)[1] : self._span(node.orelse)[0]].decode()
        if body != other:
            spans = self._span(node.body)[0], self._span(node.orelse)[1]
            yield "swapped branches", *spans, f"{other}{middle}{body}"

    def _augmented(self, node: ast.AugAssign) -> Iterator[tuple[str, int, int, str]]:
        found = self._between(node.target, node.value, r"\+=|-=|\*=|\|=|&=")
        swaps = {"+=": "-=", "-=": "+=", "*=": "+=", "|=": "&=", "&=": "|="}
        if found:
            yield "arithmetic", found[0], found[1], swaps[found[2]]
            if found[2] == "+=" and not isinstance(node.value, ast.Constant):
                yield "overwritten", found[0], found[1], "="

    def _loop_exit(self, node: ast.stmt) -> Iterator[tuple[str, int, int, str]]:
        yield "loop exit", *self._span(node), "break" if isinstance(node, ast.Continue) else "pass"

    def _handler(self, node: ast.ExceptHandler) -> Iterator[tuple[str, int, int, str]]:
        if isinstance(node.type, ast.Tuple) and len(node.type.elts) > 1:
            yield "narrow handler", *self._span(node.type), self._text(node.type.elts[0])

    # --- places -----------------------------------------------------------------------------------

    def _span(self, node: ast.AST) -> tuple[int, int]:
        return (
            self._starts[node.lineno - 1] + node.col_offset,
            self._starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def _text(self, node: ast.AST) -> str:
        start, end = self._span(node)
        return self._data[start:end].decode()

    def _between(self, left: ast.AST, right: ast.AST, pattern: str) -> tuple[int, int, str] | None:
        """The operator between two operands: parentheses and comments may stand there too."""
        start, end = self._span(left)[1], self._span(right)[0]
        gap = _GAP.sub(lambda m: " " * len(m[0]), self._data[start:end].decode())
        if not gap.isascii() or not (found := re.search(pattern, gap)):
            return None
        return start + found.start(), start + found.end(), found[0]

    def _gap_is_plain(self, left: ast.AST, right: ast.AST) -> bool:
        """Without parentheses, which would be left without their other half."""
        gap = self._data[self._span(left)[1] : self._span(right)[0]]
        return re.fullmatch(rb"[\s\\]+(and|or)[\s\\]+", gap) is not None


_EDITS: dict[type, Callable] = {
    ast.Compare: _Finder._compare, ast.BoolOp: _Finder._boolean, ast.BinOp: _Finder._arithmetic,
    ast.UnaryOp: _Finder._unary, ast.Constant: _Finder._constant, ast.Call: _Finder._call,
    ast.If: _Finder._if, ast.IfExp: _Finder._choice, ast.AugAssign: _Finder._augmented,
    ast.Break: _Finder._loop_exit, ast.Continue: _Finder._loop_exit,
    ast.ExceptHandler: _Finder._handler,
}  # fmt: skip


def sound(edit: Edit, data: bytes) -> bool:
    """Whether the file parses with the edit, to another tree than without."""
    try:
        return ast.dump(ast.parse(edit.apply(data))) != ast.dump(ast.parse(data))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _other(value: object) -> list[str]:
    if isinstance(value, bool):
        return [str(not value)]
    if type(value) is int:
        return [str(value + 1), *([str(value - 1)] if value > 0 else [])]
    return []


def _is_overload(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any("overload" in ast.dump(decorator) for decorator in node.decorator_list)
