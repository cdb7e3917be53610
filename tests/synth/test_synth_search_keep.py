"""The keep rule: what is right, what is wrong, and what is dropped because it is not sure."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from speciale.synth.search.answerers import BLIND, Answerer, Tools
from speciale.synth.search.control import VOCABULARY
from speciale.synth.search.corpora import Document
from speciale.synth.search.database import TOOLS, database
from speciale.synth.search.graph import Facts
from speciale.synth.search.keep import Way, examined, shortcut
from speciale.synth.search.plan import Condition, Hop, Question
from speciale.synth.search.readings import ByFacts, ByScan
from speciale.tasks.synthesised.signatures import tools_of

QUESTION = Question(
    hops=(
        Hop(
            "find",
            conditions=(
                Condition("maintainer", "has", "Ada Lind"),
                Condition("section", "not", "libs"),
                Condition("installed_size", "more", "300"),
            ),
            query='"Ada Lind"',
        ),
        Hop("follow", "depends", (Condition("section", "has", "libs"),)),
    ),
    ask="value",
    asked=("version", "installed_size"),
)
TRUTH = {"package": "gannet", "version": "2.5-1", "installed_size": 40}


def paragraph(name: str, person: str, section: str, size: int, **more: str) -> Document:
    fields = {
        "Package": name,
        "Version": more.pop("Version", "1.0-1"),
        "Installed-Size": str(size),
        "Maintainer": f"{person} <a@b.example>",
        "Section": section,
        **more,
    }
    return Document(name, "".join(f"{key}: {value}\n" for key, value in fields.items()))


def world(*extra: Document) -> tuple[Facts, ByScan, Tools, object]:
    documents = [
        paragraph("alder", "Ada Lind", "libs", 900, Depends="heron"),
        paragraph("basalt", "Ada Lind", "net", 200, Depends="ermine"),
        paragraph("cirrus", "Ada Lind", "net", 700, Depends="gannet (>= 1), dolmen"),
        paragraph("dolmen", "Bo Marek", "net", 10),
        paragraph("ermine", "Bo Marek", "libs", 20),
        paragraph("gannet", "Bo Marek", "libs", 40, Version="2.5-1"),
        paragraph("heron", "Bo Marek", "libs", 50),
        *extra,
    ]
    db = database(documents, Random(3))
    return Facts(VOCABULARY, tuple(documents)), ByScan(db, VOCABULARY), Tools(db), db


def kept(*extra: Document, question: Question = QUESTION):
    facts, scan, tools, _ = world(*extra)
    return examined(question, ByFacts(facts), scan, tools, VOCABULARY)


def test_a_sound_question_is_kept_with_its_evidence() -> None:
    found = kept()
    assert found.reason is None and found.answer == TRUTH
    candidates = {each["answerer"]: each for each in found.evidence["candidates"]}
    assert set(candidates) == {blind.name for blind in BLIND}
    assert candidates["first-condition"]["verdict"].startswith("wrong: ")
    assert candidates["no-denials"]["verdict"].startswith("wrong: ")
    assert 0 <= found.evidence["right"] < len(BLIND)
    assert found.evidence["walk_calls"] == len(found.calls) >= 4


def test_a_second_right_answer_drops_a_question() -> None:
    second = paragraph("ibex", "Ada Lind", "games", 800, Depends="heron")
    assert kept(second).reason == "the graph gives no single answer"


def test_what_a_reader_might_take_for_a_second_answer_drops_it() -> None:
    """The graph takes "Ada Lind" alone; a reader may well count a team of that name."""
    team = paragraph("ibex", "Team of Ada Lind", "games", 800, Depends="heron")
    assert "scan" in kept(team).reason


def test_a_question_that_the_tools_do_not_lead_through_is_dropped() -> None:
    lost = replace(QUESTION.hops[0], query='"Bo Marek"')
    assert "tools" in kept(question=replace(QUESTION, hops=(lost, QUESTION.hops[1]))).reason


def test_a_question_that_every_answerer_gets_right_is_too_easy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("speciale.synth.search.keep.BLIND", (Answerer, Answerer))
    assert "too easy" in kept().reason


def test_a_candidate_that_is_right_too_drops_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(Answerer):
        def answer(self, question: Question) -> dict:
            return {"package": "ibex", "version": "9-9", "installed_size": 1}

    monkeypatch.setattr("speciale.synth.search.keep.BLIND", (Other,))
    monkeypatch.setattr(Way, "verdict", lambda *_: "also right")
    assert kept().reason == "another candidate is right too"


def test_verdicts_name_what_a_candidate_fails() -> None:
    _, scan, _, _ = world()
    way = Way(QUESTION, scan, "package")
    assert way.answers == [TRUTH]
    assert way.verdict(TRUTH, TRUTH) == "right"
    assert way.verdict(None, TRUTH).startswith("none")
    wrong = {**TRUTH, "package": "dolmen"}
    assert way.verdict(wrong, TRUTH) == "wrong: dolmen fails: section has libs"
    wrong = {**TRUTH, "package": "heron"}
    assert way.verdict(wrong, TRUTH) == "wrong: heron is not reached by the last hop"
    wrong = {**TRUTH, "package": "zebra"}
    assert "no document" in way.verdict(wrong, TRUTH)
    assert way.verdict({**TRUTH, "version": "2.5"}, TRUTH) == "wrong: gannet has another version"
    assert way.verdict(dict(TRUTH), {**TRUTH, "version": "0"}) == "also right"


@pytest.mark.parametrize("blind", BLIND)
def test_every_answerer_has_a_blind_spot(blind: type[Answerer]) -> None:
    """On a question with denials, several pages of results and a last hop they all go wrong."""
    extra = [
        paragraph(f"ada-lind-{number}", "Ada Lind", "net", 250, Version="7", Depends="heron")
        for number in range(12)
    ]
    _, _, _, db = world(*extra)
    assert Answerer(Tools(db), VOCABULARY).answer(QUESTION) == TRUTH
    assert blind(Tools(db), VOCABULARY).answer(QUESTION) != TRUTH


def test_a_shortcut_is_seen_and_an_honest_prompt_is_not() -> None:
    _, _, tools, _ = world()
    schemas = tools_of(TOOLS.decode())
    honest = "Whom does Ada Lind rely on?"
    assert shortcut(honest, TRUTH, [], tools, schemas) is None
    named = "What is the version of gannet? Its installed size is 40."
    assert shortcut(named, TRUTH, [], tools, schemas) is not None
    assert shortcut("gannet 2.5-1 40", TRUTH, [], tools, schemas) == "the prompt"


def test_both_readings_agree_on_every_kind_of_hop() -> None:
    facts, scan, _, _ = world()
    graph = ByFacts(facts)
    for how, relation in (("follow", "depends"), ("back", "depends"), ("same", "maintainer")):
        for title in facts.titles:
            hop = Hop(how, relation)
            assert sorted(graph.reached(title, hop)) == sorted(scan.reached(title, hop))
    for title in facts.titles:
        assert graph.number(title, "installed_size") == scan.number(title, "installed_size")
        assert graph.value(title, "maintainer") == scan.value(title, "maintainer")
