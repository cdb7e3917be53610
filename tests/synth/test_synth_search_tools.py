"""The search agent's tools: ranking, phrases, pages, and errors that a model can read."""

from __future__ import annotations

from random import Random

import pytest

from speciale.synth.search import steps_file, tools_file
from speciale.synth.search.answerers import Tools
from speciale.synth.search.corpora import Document
from speciale.synth.search.database import SCHEMA, TOOLS, database
from speciale.tasks.synthesised.signatures import tools_of

WORDS = ("amber", "birch", "cedar", "dune")


@pytest.fixture
def tools() -> Tools:
    documents = [
        Document(f"paper-{number}", f"about {WORDS[number % 4]} and river stones\n" * 3)
        for number in range(40)
    ]
    documents.append(Document("birch", "nothing of that name in here\n"))
    documents.append(Document("long", "".join(f"line {number} of it\n" for number in range(900))))
    return Tools(database(documents, Random(1)))


def test_results_come_in_pages_of_ten(tools: Tools) -> None:
    found = steps_file.results(tools, "river")
    assert len(found) == 40 and len({each["id"] for each in found}) == 40
    assert len(tools.calls) == 4 and tools.calls[-1].value["more"] is False


def test_a_title_that_is_the_query_comes_first(tools: Tools) -> None:
    assert tools.search(query='"birch"')["results"][0]["title"] == "birch"
    only = tools.search(query="birch", titles_only=True)["results"]
    assert [each["title"] for each in only] == ["birch"]


def test_all_words_come_before_any_word(tools: Tools) -> None:
    every = steps_file.results(tools, "cedar river")
    assert len(every) == 10
    some = steps_file.results(tools, "cedar zebra")
    assert len(some) == 10
    assert steps_file.results(tools, '"river cedar"') == []


def test_a_query_is_never_syntax(tools: Tools) -> None:
    for query in ('a"b OR title:*', "NEAR(river stones)", "river AND OR", "river-stones:^x", "'"):
        try:
            tools.search(query=query)
        except ValueError as error:
            assert "no words" in str(error)


def test_pages_join_to_the_text(tools: Tools) -> None:
    (found,) = tools.search(query="long", titles_only=True)["results"]
    first = tools.open_document(document_id=found["id"])
    assert first["pages"] > 2 and len(first["text"]) <= 4000
    whole = steps_file.read(tools, found["id"])
    assert whole == "long\n" + "".join(f"line {number} of it\n" for number in range(900))
    lines = tools.find_in_document(document_id=found["id"], text="LINE 85")["lines"]
    assert [each["line"] for each in lines[:2]] == ["line 85 of it", "line 850 of it"]


def test_errors_say_what_is_wrong(tools: Tools) -> None:
    with pytest.raises(ValueError, match="no document 'd9999'"):
        tools.open_document(document_id="d9999")
    with pytest.raises(ValueError, match="pages 1 to 1"):
        found = tools.search(query="birch", titles_only=True)["results"][0]
        tools.open_document(document_id=found["id"], page=2)
    with pytest.raises(ValueError, match="no words"):
        tools.search(query="  !? ")
    with pytest.raises(ValueError, match="counted from 1"):
        tools.search(query="river", page=0)


def test_the_file_has_three_tools_and_the_database_is_closed() -> None:
    names = [tool["function"]["name"] for tool in tools_of(TOOLS.decode())]
    assert names == ["search", "open_document", "find_in_document"]
    db = database([Document("a", "b\n")], Random(1))
    with pytest.raises(Exception, match="readonly"):
        db.execute("DELETE FROM documents")
    assert "fts5" in SCHEMA and tools_file.search(db, "b")["results"][0]["title"] == "a"


def test_the_same_documents_give_the_same_bytes() -> None:
    documents = [Document(f"t{number}", f"words {number}\n" * 9) for number in range(300)]
    one, other = (database(documents, Random(4)).serialize() for _ in range(2))
    assert one == other
