"""Corpora of the search agent: what is read, what is passed over, and with which words."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from small_archive import archive, papers

from speciale.errors import DataError
from speciale.synth.search import control, corpora, manual
from speciale.synth.search.graph import part_of
from speciale.synth.search.papers import VOCABULARY as PAPERS

PAGE = """<html><head><title>t</title></head><body><h1>shelf — Boxes<a>¶</a></h1>
<dl><dt>class shelf.Box(<em>size</em>, <em>*</em>, <em>lid=None</em>)<a>¶</a></dt>
<dd><p>Raises ValueError; see os.stat().</p><p>New in version 3.4.</p>
<p>Changed in version 3.9: more.</p></dd>
<dt>close()<a>¶</a></dt><dd><p>Shuts it.</p></dd></dl></body></html>"""


def test_paragraphs_become_documents_without_hashes(tmp_path: Path) -> None:
    corpus = corpora.read_corpus(str(archive(tmp_path / "Packages")))
    assert len(corpus.documents) == 150 and corpus.vocabulary.kind == "debian"
    assert "SHA256" not in corpus.documents[0].text
    facts = part_of(corpus, Random(1)).by_title[corpus.documents[0].title]
    assert facts["maintainer"][0] in ("Ada Lind", "Bo Marek") or " " in facts["maintainer"][0]
    assert facts["installed_size"][0].isdigit()


def test_versions_and_alternatives_of_links_are_read() -> None:
    depends = control.VOCABULARY.by_name["depends"]
    text = "a\nPre-Depends: no\nDepends: b (>= 1.0), c:any | d (<< 2), e\n"
    assert depends.values(text) == ("b", "c", "d", "e")


def test_paragraphs_that_are_no_packages_are_recorded(tmp_path: Path) -> None:
    path = archive(tmp_path / "Packages", 30)
    text = path.read_text()
    path.write_text(text + "\nnonsense\n\n" + text.split("\n\n")[0] + "\n\nPackage: \n\n\0\0\n")
    corpus = corpora.read_corpus(str(path))
    assert len(corpus.documents) == 30
    assert corpus.skipped == {"no package": 3, "same title": 1}


def test_bad_files_are_passed_over_and_recorded(tmp_path: Path) -> None:
    corpus = corpora.read_corpus(str(papers(tmp_path / "papers")))
    titles = {document.title for document in corpus.documents}
    assert len([title for title in titles if title.endswith("/copyright")]) == 40
    assert "latin.txt" in titles
    assert not titles & {"image.txt", "huge.log", "out.txt", "bad.gz", "nothing.txt"}
    assert not any("way-out" in title or "root:" in title for title in titles)
    assert corpus.skipped["binary"] == 1 and corpus.skipped["too large"] == 1
    assert corpus.skipped["link"] == 2 and corpus.skipped["empty"] == 1
    assert {"bad.gz: unreadable", "huge.log: too large"} <= set(corpus.examples)


def test_documents_with_the_same_text_are_kept_once(tmp_path: Path) -> None:
    root = papers(tmp_path / "papers")
    (root / "zz").mkdir()
    (root / "zz" / "copyright").write_bytes((root / "alder0" / "copyright").read_bytes())
    corpus = corpora.read_corpus(str(root))
    assert corpus.skipped["same text"] == 1


def test_long_documents_are_cut_and_say_so(tmp_path: Path) -> None:
    root = papers(tmp_path / "papers")
    (root / "long.txt").write_text("a line of text\n" * 5000)
    corpus = corpora.read_corpus(str(root))
    text = next(each.text for each in corpus.documents if each.title == "long.txt")
    assert len(text) < corpora.MOST_TEXT + 100 and text.endswith(corpora.CUT)


def test_a_folder_with_nothing_to_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="0 readable documents"):
        corpora.read_corpus(str(tmp_path))
    (tmp_path / "a.bin").write_bytes(b"\0" * 100)
    corpora.read_corpus.cache_clear()
    with pytest.raises(DataError, match="1 binary"):
        corpora.read_corpus(str(tmp_path))


def test_an_unknown_corpus_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="debian, doc, python"):
        corpora.read_corpus(str(tmp_path / "nowhere"))


def test_an_archive_without_apt_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "COMMAND", ("no-such-program-here",))
    with pytest.raises(DataError, match="give a file"):
        control.dump(None)


def test_a_manual_is_cut_at_its_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(8):
        (tmp_path / f"shelf{number}.html").write_text(PAGE.replace("shelf", f"shelf{number}"))
    monkeypatch.setattr(manual, "html_folder", lambda: tmp_path)
    corpora.read_corpus.cache_clear()
    corpus = corpora.read_corpus("python")
    corpora.read_corpus.cache_clear()
    by_title = {document.title: document for document in corpus.documents}
    assert "shelf3: close()" in by_title and "shelf3.Box" in by_title
    whole = by_title["shelf3.Box"].whole
    read = {relation.name: relation.values(whole) for relation in manual.VOCABULARY.relations}
    assert read["parameter"] == ("size", "lid") and read["parameters"] == ("2",)
    assert read["new_in"] == ("3.4",) and read["changed_in"] == ("3.9",)
    assert read["mentions"] == ("os.stat",) and read["exception"] == ("ValueError",)
    assert read["page"] == ("shelf3",) and read["declared"] == ("class",)


def test_docstrings_stand_in_for_a_manual() -> None:
    source = (
        '"""Boxes."""\n\n\nclass Box(list):\n    """A box, see os.stat()."""\n\n'
        '    def close(self, force=False):\n        """Shut it."""\n\n\n'
        'def _hidden():\n    """Not here."""\n'
    )
    found = dict(manual.docstrings("shelf", source))
    assert sorted(found) == ["shelf", "shelf.Box", "shelf.Box.close"]
    assert found["shelf.Box.close"].startswith("shelf.Box.close(self, force=False)\nPage: shelf (")
    assert dict(manual.docstrings("bad", "def (")) == {}


def test_papers_are_read_by_their_form() -> None:
    text = (
        "x/copyright\nUpstream-Name: X\nCopyright: 1999-2003, 2010 Ann Lee <a@b.org>\n"
        "           2012 Bo Ek\nLicense: MIT\n\nfoo (1.2-3) unstable; urgency=low\n"
        "  * Fix CVE-2020-1234 (#123456)\n -- Cy Oz <c@d.org>  Thu, 01 Jan 2015 10:00:00 +0000\n"
    )
    read = {relation.name: relation.values(text) for relation in PAPERS.relations}
    assert read["holder"] == ("Ann Lee", "Bo Ek") and read["licence"] == ("MIT",)
    assert read["folder"] == ("x",) and read["file"] == ("copyright",)
    assert read["signer"] == ("Cy Oz",) and read["top_date"] == ("01 Jan 2015",)
    assert read["bug"] == ("123456",) and read["cve"] == ("CVE-2020-1234",)
