"""Copies of a folder's texts and code are found, whatever stands around them."""

import random
from pathlib import Path

import pytest

from speciale.errors import DataError, SpecialeError
from speciale.safety.protected import LEAST, build_index, load_index, open_protected

RNG = random.Random(3)
VOCABULARY = [f"w{i}" for i in range(500)]
SONG = RNG.choices(VOCABULARY, k=200)
POEM = RNG.choices(VOCABULARY, k=200)
CODE = "\n".join(f"    rows[{i}] = parse(line_{i}, sep=',')" for i in range(40))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("protected")
    (folder / "songs").mkdir()
    (folder / "songs" / "song.txt").write_text(" ".join(SONG))
    (folder / "poem.md").write_text(", ".join(POEM))
    (folder / "code.py").write_text(CODE)
    (folder / "image.png").write_bytes(b"\x89PNG")
    return folder


def around(words):
    return " ".join([*RNG.choices(VOCABULARY, k=50), *words, *RNG.choices(VOCABULARY, k=50)])


def test_the_least_run_is_exact(folder):
    index = build_index(folder)
    k = LEAST["text"]
    assert index.find(around(SONG[20 : 20 + k - 2])) == []
    (match,) = index.find(around(SONG[20 : 20 + k + 1]))
    assert (match.source, match.kind) == ("songs/song.txt", "text")
    assert match.words >= k + 1
    text = around(SONG[20 : 20 + k + 1])
    (match,) = index.find(text)
    assert " ".join(SONG[20 : 20 + k + 1]) in text[match.start : match.end]


def test_case_marks_and_punctuation_do_not_hide_a_copy(folder):
    text = "... ".join(word.upper() + "\u200b" for word in POEM[5:60])
    assert [match.source for match in build_index(folder).find(text)] == ["poem.md"]


def test_a_changed_word_ends_the_run(folder):
    words = SONG[:100]
    for i in range(10, 100, 20):
        words[i] = "changed"
    assert build_index(folder).find(" ".join(words)) == []


def test_code_is_matched_by_tokens(folder):
    spaced = CODE.replace(" = ", "=").replace("(", "( ")
    (match,) = build_index(folder).find("Here it is:\n" + spaced)
    assert (match.source, match.kind) == ("code.py", "code")
    assert build_index(folder).find(CODE.replace("line_", "item_")) == []


def test_an_index_is_a_file(folder, tmp_path):
    index = build_index(folder)
    index.save(tmp_path / "all.index")
    again = load_index(tmp_path / "all.index")
    assert again.sources == index.sources and again.kinds == index.kinds
    assert (again.hashes == index.hashes).all() and (again.owners == index.owners).all()
    (tmp_path / "more").mkdir()
    other = RNG.choices(VOCABULARY, k=80)
    (tmp_path / "more" / "other.txt").write_text(" ".join(other))
    both = open_protected([tmp_path / "more", tmp_path / "all.index"])
    assert [m.source for m in both.find(" ".join(SONG[:50]))] == ["songs/song.txt"]
    assert [m.source for m in both.find(" ".join(other[:50]))] == ["other.txt"]


def test_what_is_no_index_is_refused(tmp_path):
    (tmp_path / "bad.index").write_bytes(b"PK\x03\x04 but not a zip file")
    for path in (tmp_path / "bad.index", tmp_path / "missing", Path(__file__)):
        with pytest.raises(DataError, match="could not be read"):
            load_index(path)
    with pytest.raises(DataError, match="holds no text"):
        build_index(tmp_path)


def test_a_failed_save_leaves_the_old_file(folder, tmp_path):
    index = build_index(folder)
    (tmp_path / "taken").mkdir()
    with pytest.raises(SpecialeError):
        index.save(tmp_path / "taken")
    assert list(tmp_path.iterdir()) == [tmp_path / "taken"]
