import gzip
import json

import pytest

from speciale.errors import DataError
from speciale.train import sources
from speciale.train.sources import Document, documents


def texts(*names):
    return [d.text for d in documents([str(n) for n in names])]


def test_stdlib_gives_code_and_topics_in_the_same_order_each_time():
    first = list(documents(["stdlib"]))
    names = [d.name for d in first]
    assert names == [d.name for d in documents(["stdlib"])]
    assert len(set(names)) == len(names)
    assert {"abc.py", "json/decoder.py", "pydoc_data/topics/while"} <= set(names)
    folders = {part for name in names for part in name.split("/")[:-1]}
    assert not folders & {"test", "tests", "idle_test", "site-packages", "lib2to3", "encodings"}
    assert sum(len(d.text) for d in first) > 4e6


def test_folder_is_read_sorted_without_binary_hidden_and_linked_files(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "b" / "z.txt").write_text("third")
    (tmp_path / "b" / "é.md").write_text("fourth")
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "a2.txt.gz").write_bytes(gzip.compress(b"second"))
    (tmp_path / ".hidden").write_text("no")
    (tmp_path / ".git" / "config").write_text("no")
    (tmp_path / "link.txt").symlink_to(tmp_path / "a.txt")
    (tmp_path / "blank.txt").write_text(" \n")
    (tmp_path / "early.bin").write_bytes(b"no\0no")
    (tmp_path / "late.bin").write_bytes(b"n" * 10_000 + b"\0")
    (tmp_path / "noise").write_bytes(bytes(range(128, 256)) * 9)
    (tmp_path / "torn.gz").write_bytes(gzip.compress(b"no" * 99)[:-9])
    (tmp_path / "false.gz").write_bytes(b"not packed")
    source = str(tmp_path)
    assert list(documents([source])) == [
        Document(source, "a.txt", "first"),
        Document(source, "a2.txt.gz", "second"),
        Document(source, "b/z.txt", "third"),
        Document(source, "b/é.md", "fourth"),
    ]


def test_undecodable_bytes_and_byte_order_marks_are_mended(tmp_path):
    path = tmp_path / "old.txt"
    path.write_bytes("caf\xe9 in the old encoding".encode("latin-1"))
    assert texts(path) == ["caf\ufffd in the old encoding"]
    path.write_bytes(b"\xef\xbb\xbfmarked")
    assert texts(path) == ["marked"]


def test_sources_keep_the_order_in_which_they_are_named(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text(name)
    assert texts(tmp_path / "b.txt", tmp_path / "a.txt") == ["b", "a"]


def test_jsonl_gives_the_text_of_each_line(tmp_path):
    path = tmp_path / "data.jsonl"
    lines = [{"text": "one\u2028line", "id": 3}, {"text": "two"}, {"text": "cut \ud83d"}]
    body = "\n\n".join(json.dumps(x, ensure_ascii=i > 0) for i, x in enumerate(lines))
    path.write_text(body, encoding="utf-8")
    assert [(d.name, d.text) for d in documents([str(path)])] == [
        ("data.jsonl:1", "one\u2028line"),
        ("data.jsonl:3", "two"),
        ("data.jsonl:5", "cut ?"),  # a lone surrogate, which no tokenizer takes
    ]


@pytest.mark.parametrize(
    "line", ["{", "3", '{"body": "x"}', '{"text": null}', "[" * 100_000, '{"text": "cut']
)
def test_jsonl_errors_name_the_line(tmp_path, line):
    path = tmp_path / "data.jsonl"
    path.write_text('{"text": "good"}\n' + line)
    with pytest.raises(DataError, match=r"Line 2 of .*data\.jsonl"):
        texts(path)


def write_parquet(path, **columns):
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return path


def test_parquet_gives_the_text_of_each_row(tmp_path):
    path = write_parquet(tmp_path / "d.parquet", id=[1, 2], text=["one", "two"])
    assert [(d.name, d.text) for d in documents([str(path)])] == [
        ("d.parquet:1", "one"),
        ("d.parquet:2", "two"),
    ]
    assert texts(write_parquet(path, text=[b"undecodable \xff"])) == ["undecodable \ufffd"]


def test_parquet_errors_say_what_is_wrong(tmp_path):
    path = tmp_path / "d.parquet"
    with pytest.raises(DataError, match=r"no column \"text\" but \['body'\]"):
        texts(write_parquet(path, body=["x"]))
    with pytest.raises(DataError, match="Row 2 of"):
        texts(write_parquet(path, text=["x", None]))
    with pytest.raises(DataError, match="cannot be read"):
        texts(write_parquet(path, text=[1, 2]))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="cannot be read"):
        texts(path)


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    path = write_parquet(tmp_path / "d.parquet", text=["x"])
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"speciale\[parquet\]"):
        texts(path)


def test_missing_binary_and_empty_sources_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"absent.*does not exist"):
        next(documents(["stdlib", str(tmp_path / "absent")]))
    with pytest.raises(DataError, match="no text in the sources"):
        texts(tmp_path)
    with pytest.raises(DataError, match="no text in the sources"):
        texts()
    (tmp_path / "x.bin").write_bytes(b"\0")
    with pytest.raises(DataError, match="binary"):
        texts(tmp_path / "x.bin")


def test_system_docs_are_prose_each_once_and_may_be_absent(tmp_path, monkeypatch):
    docs = tmp_path / "doc"
    monkeypatch.setattr(sources, "_SYSTEM_DOCS", docs)
    with pytest.raises(DataError, match="no text"):
        texts("usr-share-doc")
    (docs / "p").mkdir(parents=True)
    (docs / "p" / "changelog.Debian.gz").write_bytes(gzip.compress(b"no"))
    (docs / "p" / "manual.ps.gz").write_bytes(gzip.compress(b"no"))
    (docs / "p" / "README.gz").write_bytes(gzip.compress(b"read me"))
    (docs / "q").write_text("read me")
    assert texts("usr-share-doc") == ["read me"]
