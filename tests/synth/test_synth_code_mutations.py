"""Bugs by changing the tree, hidden tests, and the text of issues, without running anything."""

from __future__ import annotations

import ast

import pytest

from speciale.synth.code.hiding import without_tests
from speciale.synth.code.issues import cleaned_message, leak_finder, read_failure, snippet
from speciale.synth.code.mutations import python_edits, sound
from speciale.synth.code.mutations_javascript import javascript_edits

SOURCE = '''"""Doc: 1 < 2."""
LIMIT = 10  # a table, no bug here


def f(a: int, b=3, *, flag=True):
    """Doc with 3 < 4 and True."""
    if a < b and not flag:  # a < b
        return a + 1
    elif (a == b or
            b is None):
        x = min(a, b)
    else:
        x = a.strip().lower()
    for i in range(2):
        if flag:
            continue
        x += i
    try:
        return g(a, b) if a in b else -1
    except (KeyError, ValueError):
        raise TypeError("é" + str(1)) from None
'''


def _mutants(source: str = SOURCE) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    data = source.encode()
    for edit in python_edits("m.py", data):
        changed = edit.apply(data)
        assert changed[: edit.start] == data[: edit.start]
        assert changed[len(changed) - (len(data) - edit.end) :] == data[edit.end :]
        assert sound(edit, data), edit
        before, after = data.decode().split("\n"), changed.decode().split("\n")
        if len(before) == len(after):
            lines = [new for old, new in zip(before, after) if old != new]
            found.setdefault(edit.operator, set()).update(line.strip() for line in lines)
    return found


@pytest.mark.parametrize(
    "operator, line",
    [
        ("comparison", "if a <= b and not flag:  # a < b"),
        ("comparison", "elif (a != b or"),
        ("comparison", "b is not None):"),
        ("comparison", "return g(a, b) if a not in b else -1"),
        ("boolean operator", "if a < b or not flag:  # a < b"),
        ("dropped condition", "if a < b:  # a < b"),
        ("dropped condition", "if not flag:  # a < b"),
        ("dropped not", "if a < b and flag:  # a < b"),
        ("constant", "return a + 2"),
        ("arithmetic", "return a - 1"),
        ("arithmetic", "x -= i"),
        ("wrong default", "def f(a: int, b=4, *, flag=True):"),
        ("wrong default", "def f(a: int, b=3, *, flag=False):"),
        ("wrong function", "x = max(a, b)"),
        ("dropped call", "x = a.strip()"),
        ("swapped arguments", "return g(b, a) if a in b else -1"),
        ("swapped branches", "return -1 if a in b else g(a, b)"),
        ("dropped else branch", "pass"),
        ("dropped early exit", "pass"),
        ("negated condition", "if not flag:"),
        ("loop exit", "break"),
        ("narrow handler", "except KeyError:"),
        ("sign", "return g(a, b) if a in b else 1"),
    ],
)
def test_operators(operator, line):
    assert line in _mutants()[operator]


def test_docstrings_annotations_messages_and_tables_stay():
    for lines in _mutants().values():
        for line in lines:
            assert not line.startswith(('"""', "LIMIT", "raise")) and "a: str" not in line


def test_offsets_are_bytes():
    source = 'def f(a):\n    return "é€" if a > 1 else "ü"\n'
    data = source.encode()
    made = {edit.apply(data).decode() for edit in python_edits("m.py", data)}
    assert source.replace(">", ">=") in made
    assert source.replace("1", "2") in made


def test_what_is_no_python_gives_no_edit():
    for data in (b"def f(:\n", b"\xff\xfe", b"def f():\r\n    return 1 < 2\r\n", b"\0"):
        assert python_edits("m.py", data) == []


def test_javascript_tokens_and_nothing_in_texts():
    source = (
        "// a < b\nfunction f(a, b) {\n  const r = /a<=b && 1/; let s = 'a === 1';\n"
        "  if (a === 1 && !b) { return s.trim(); }\n  return `${a} < 2`;\n}\n"
    )
    data = source.encode()
    edits = javascript_edits("m.js", data)
    lines = {edit.apply(data).decode().split("\n")[edit.line - 1].strip() for edit in edits}
    assert lines == {
        "if (a !== 1 && !b) { return s.trim(); }",
        "if (a === 2 && !b) { return s.trim(); }",
        "if (a === 0 && !b) { return s.trim(); }",
        "if (a === 1 || !b) { return s.trim(); }",
        "if (a === 1 && b) { return s.trim(); }",
        "if (a === 1 && !b) { return s; }",
    }
    assert {edit.scope for edit in edits} == {"f"}


TESTS = b"""import pytest


class TestA:
    @pytest.mark.parametrize("x", [1, 2])
    def test_x(self, x):
        assert x

    def test_y(self):
        assert 1


def test_x():
    a = make(1)
    other = 5
    b = a + 1
    assert b == 3
"""


def test_hiding_takes_functions_and_leaves_the_rest():
    tree = {"tests/test_a.py": TESTS, "pkg.py": b"x"}
    hidden = without_tests(tree, ["tests/test_a.py::TestA::test_x[1]", "gone.py::test"])
    assert b"def test_x(self" not in hidden["tests/test_a.py"]
    assert b"parametrize" not in hidden["tests/test_a.py"]
    assert b"def test_x():" in hidden["tests/test_a.py"] and b"test_y" in hidden["tests/test_a.py"]
    assert hidden["pkg.py"] == b"x"
    names = ["tests/test_a.py::TestA::test_x[1]", "tests/test_a.py::TestA::test_y"]
    emptied = without_tests(tree, names)["tests/test_a.py"]
    ast.parse(emptied)
    assert b"pass" in emptied and b"test_y" not in emptied


def test_hiding_takes_a_file_of_another_language_only_where_others_stay():
    tree = {"test/a.js": b"a", "test/b.js": b"require('./helper')", "test/helper.js": b"h"}
    assert without_tests(tree, ["test/a.js::x"]).keys() == {"test/b.js", "test/helper.js"}
    assert without_tests(tree, ["test/helper.js"]) == tree
    assert without_tests({"test/a.js": b"a"}, ["test/a.js"]) == {"test/a.js": b"a"}


def test_issue_shows_the_tests_own_lines_and_no_line_of_the_source():
    assert snippet(TESTS, 17) == "a = make(1)\nb = a + 1\nassert b == 3"
    text = (
        "tests/test_a.py:17: in test_x\n    assert b == 3\npkg.py:3: in make\n    return secret\n"
        "E   AssertionError: assert 4 == 3\nE    +  where 4 = make(<object at 0x7f00aa112233>)"
    )
    tree = {"tests/test_a.py": TESTS}
    failure = read_failure("tests/test_a.py::test_x", text, lambda path: "test" in path, tree)
    assert (failure.got, failure.expected) == ("4", "3")
    assert failure.call.endswith("assert b == 3") and failure.seen is None
    assert "secret" not in str(failure) and "0x7f00" not in str(failure)


def test_messages_lose_trailers_files_and_the_fix():
    message = (
        "Mean of nothing fails (#12)\n\nIt raised.\n\n* pkg/stats.py: guard\n"
        "if not values: return None\nIn pkg/stats.py it was missing.\nSigned-off-by: A <a@b.c>\n"
    )
    leaks = leak_finder(["    if not values: return None\n"])
    text = cleaned_message(message, leaks, ["pkg/stats.py"])
    assert text == "Mean of nothing fails\n\nIt raised."
