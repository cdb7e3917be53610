"""Folders as documents: which files are, what text and title they have, how they are cut."""

import gzip
import os
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speciale.agents.tools import documents
from speciale.agents.tools.documents import Unfit, document, pages, read, walk


def ids(root, without=Path("/nowhere")):
    return [found.id for found in walk(root, without)]


def texts(root):
    found = {}
    for file in walk(root, Path("/nowhere")):
        try:
            found[file.id] = read(file).text
        except Unfit as unfit:
            found[file.id] = unfit
    return found


def test_walk_finds_plain_files_alone(tmp_path):
    for name in ("b.txt", "a/c.txt", "a/.hidden", ".git/config", "cache/index"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    outside = tmp_path.with_name(f"{tmp_path.name}-outside")
    outside.mkdir()
    (outside / "secret").write_text("s")
    (tmp_path / "to-folder").symlink_to(outside)
    (tmp_path / "to-file").symlink_to(outside / "secret")
    (tmp_path / "to-itself").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    (tmp_path / "/".join("d" * 250)).mkdir(parents=True)
    assert ids(tmp_path, tmp_path / "cache") == ["b.txt", "caf?.txt", "a/c.txt"]


def test_a_file_that_becomes_a_link_is_not_followed(tmp_path):
    (tmp_path / "secret").write_text("s")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_text("a")
    for found in walk(folder, Path("/nowhere")):
        (folder / "a").unlink()
        (folder / "a").symlink_to(tmp_path / "secret")
        with pytest.raises(Unfit, match="unreadable"):
            read(found)


def test_stamps_change_with_files(tmp_path):
    def stamp():
        return next(walk(tmp_path, Path("/nowhere"))).stamp

    (tmp_path / "a").write_text("a")
    first = stamp()
    assert stamp() == first
    (tmp_path / "new").write_text("b")
    os.utime(tmp_path / "new", ns=(0, (tmp_path / "a").stat().st_mtime_ns))
    (tmp_path / "new").replace(tmp_path / "a")  # of the same size and time
    assert stamp() != first


def test_encodings_and_compression(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "MOST_BYTES", 10_000)
    files = {
        "utf8": "naïve".encode(),
        "bom": "\ufeffnaïve".encode(),
        "utf16": "naïve".encode("utf-16"),
        "latin": "naïve".encode("latin-1"),
        "plain.gz": gzip.compress(b"packed"),
        "members.gz": gzip.compress(b"one ") + gzip.compress(b"two") + b"\0" * 8,
        "short.gz": gzip.compress(b"packed" * 100)[:-10],
        "page.html.GZ": gzip.compress(b"<p>packed page"),
        "empty": b"",
        "zero": b"a\0b",
        "noise": bytes(range(1, 256)) * 8,
        "no.gz": b"not compressed",
        "large": b"x" * 10_001,
        "bomb.gz": gzip.compress(b"x" * 50_000_000),
        "archive.tar.gz": gzip.compress(b"name\0\0\0data"),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    found = texts(tmp_path)
    assert {name: found[name] for name in ("utf8", "bom", "utf16", "latin")} == dict.fromkeys(
        ("utf8", "bom", "utf16", "latin"), "naïve"
    )
    assert found["plain.gz"] == "packed" and found["members.gz"] == "one two"
    assert found["short.gz"].startswith("packed") and found["page.html.GZ"] == "packed page\n"
    assert found["empty"] == ""
    kinds = {name: str(found[name]) for name in list(files)[-6:]}
    assert kinds == {
        "zero": "binary",
        "noise": "binary",
        "no.gz": "unreadable",
        "large": "too large",
        "bomb.gz": "too large",
        "archive.tar.gz": "binary",
    }


def test_html_is_read_as_people_read_it():
    page = """<!DOCTYPE html><html><head><title>A &amp; B
        again</title><style>p { color: red }</style><script>if (a < b) alert("x")</script></head>
        <body><h1>Head</h1><p>One <b>bold</b>
        word &mdash; and&nbsp;more.<br>Next line</p><ul><li>first<li>second</ul>
        <pre>  kept
    as it is</pre><table><tr><td>1</td><td>2</td></tr></table><svg><text>no</text></svg></body>"""
    found = document("x.html", page)
    assert found.title == "A & B again"
    for line in ("Head", "One bold word — and more.", "Next line", "first", "second"):
        assert line in found.text.splitlines()
    assert "  kept\n    as it is" in found.text
    assert not {"color", "alert", "no", "<"} & set(found.text.split())


@given(st.text(alphabet=st.sampled_from("<>/&;!-=\"' apbrscriptyle\n")))
def test_no_html_is_an_error(text):
    document("x.html", text)


def test_titles():
    assert document("notes.md", "intro\n\n## The *plan* ##\ntext").title == "The *plan*"
    assert document("notes.md", "no heading").title == "notes.md"
    assert document("x.html", "<p>no title").title == "x.html"
    assert document("main.py", "# not a heading\n").title == "main.py"
    assert len(document("x.html", f"<title>{'t' * 1000}</title>").title) == 200


@given(st.text(alphabet=st.sampled_from("ab \n"), max_size=200), st.integers(2, 40))
def test_pages_join_to_the_text(text, size):
    before, documents.PAGE = documents.PAGE, size
    try:
        cut = pages(text)
    finally:
        documents.PAGE = before
    assert "".join(cut) == text
    assert all(0 < len(page) <= size for page in cut[:-1]) and len(cut[-1]) <= size


def test_pages_end_with_paragraphs_and_lines():
    paragraph = "word " * 30 + "\n\n"
    cut = pages(paragraph * 100)
    assert len(cut) > 2 and all(page.endswith("\n\n") for page in cut)
    assert [len(page) for page in pages("x" * 9000)] == [4000, 4000, 1000]


def test_a_gzip_file_is_never_unpacked_whole(monkeypatch):
    monkeypatch.setattr(documents, "MOST_BYTES", 1000)
    seen = []

    class Counting:
        def __init__(self, real):
            self.real = real

        def decompress(self, data, most):
            out = self.real.decompress(data, most)
            seen.append(len(out))
            return out

        def __getattr__(self, name):
            return getattr(self.real, name)

    real = zlib.decompressobj
    monkeypatch.setattr(zlib, "decompressobj", lambda wbits: Counting(real(wbits=wbits)))
    documents._unzipped(gzip.compress(b"x" * 10_000_000))
    assert sum(seen) == 1001
