"""Questions from the docstrings of the standard library."""

import pytest

from speciale.errors import DataError
from speciale.tasks import docstring_questions, docstrings, split_of


def test_enough_pairs_in_two_disjoint_splits():
    train, heldout = list(docstring_questions(0, "train")), list(docstring_questions(0, "heldout"))
    assert len(train) + len(heldout) >= 2000
    assert 0.05 < len(heldout) / len(train) < 0.2
    questions = [question for question, _ in train + heldout]
    assert len(set(questions)) == len(questions)
    assert {split_of("docstrings", question) for question, _ in heldout} == {"heldout"}
    for question, answer in train + heldout:
        assert 15 <= len(answer) <= 160 and "\n" not in answer
        assert question.endswith("?") and len(question) <= 120


def test_a_known_pair_and_the_order_of_a_seed():
    pairs = {**dict(docstring_questions(0, "train")), **dict(docstring_questions(0, "heldout"))}
    known = pairs["What does textwrap.dedent do?"]
    assert known == "Remove any common leading whitespace from every line in `text`."
    assert not any("._" in question for question in pairs)
    first, again = list(docstring_questions(3, "train")), list(docstring_questions(3, "train"))
    other = list(docstring_questions(4, "train"))
    assert first == again != other
    assert sorted(first) == sorted(other)


@pytest.mark.parametrize(
    ("docstring", "answer"),
    [
        ("Return the size. More text.", "Return the size."),
        ("Return the\n    size of it", "Return the size of it"),
        ("f(a, b) -> int\n\nAdd two whole numbers.", "Add two whole numbers."),
        ("Use a name, e.g. Foo, for it. Then more.", "Use a name, e.g. Foo, for it."),
        ("Reads version 3.2 of the format. Then more.", "Reads version 3.2 of the format."),
        ("Usage of this thing:\n\nfoo", None),
        ("Short.", None),
        ("word " * 40, None),
        ("", None),
    ],
)
def test_first_sentence(docstring, answer):
    assert docstrings.first_sentence(docstring) == answer


def test_sources_are_read_by_name_and_not_run(tmp_path):
    (tmp_path / "pack").mkdir()
    (tmp_path / "test").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text('"""Things to pack for a trip."""\nboom()\n')
    (tmp_path / "pack" / "bag.py").write_text(
        'class Bag:\n    """A bag that holds things."""\n'
        '    def add(self):\n        """Put one thing into the bag."""\n'
        '    def _hide(self):\n        """Hide one thing in the bag."""\n'
    )
    (tmp_path / "pack" / "_private.py").write_text('"""Not for the public to see."""')
    (tmp_path / "broken.py").write_text("def (:\n")
    (tmp_path / "test" / "more.py").write_text('"""Tests of the things to pack."""')
    assert docstrings._pairs(tmp_path) == (
        ("What is the Python module pack for?", "Things to pack for a trip."),
        ("What is the class pack.bag.Bag?", "A bag that holds things."),
        ("What does pack.bag.Bag.add do?", "Put one thing into the bag."),
    )


def test_no_sources_and_unknown_split(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="no split 'all'"):
        docstring_questions(0, "all")
    monkeypatch.setattr(docstrings, "_library", lambda: tmp_path)
    with pytest.raises(DataError, match="no Python sources"):
        docstring_questions(0, "train")
