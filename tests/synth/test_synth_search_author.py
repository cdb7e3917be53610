"""The search agent's families: the same bytes for the same item, sound questions, true evidence."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from small_archive import archive, papers

from speciale.errors import ConfigError, DataError
from speciale.synth import commands
from speciale.synth.gates import judge
from speciale.synth.search import CORPORA, author, items, make
from speciale.synth.search.author import DROPPED
from speciale.synth.search.questions import _between, _thresholds
from speciale.synth.work import KEY, author_of, named
from speciale.tasks.synthesised.family import Family, read_family, write_family


@pytest.fixture(scope="module", autouse=True)
def few() -> Iterator[None]:
    """Families of five tasks: what holds for those holds for twenty."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(author, "TASKS", 5)
        yield


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Family:
    path = archive(tmp_path_factory.mktemp("archive") / "Packages")
    return make(next(items(path, 3)))


def test_items_are_endless_and_name_this_author(tmp_path: Path) -> None:
    found = list(islice(items("debian", 5), 3))
    assert [item["key"] for item in found] == [f"search-debian-5-{n:06}" for n in range(3)]
    assert all(KEY.fullmatch(item["key"]) for item in items_of_odd_names(tmp_path))
    assert named(author_of(found[0])) is make
    assert CORPORA == ("debian", "doc", "python")


def items_of_odd_names(tmp_path: Path) -> list[dict]:
    return [next(items(tmp_path / name, 1)) for name in ("Ümläut & co", "...", "A" * 200)]


def test_the_same_item_gives_the_same_bytes(family: Family, tmp_path: Path) -> None:
    path = archive(tmp_path / "Packages")
    again = make({**next(items(path, 3)), "key": family.about.id})
    assert again.files == family.files
    assert {n: task.files for n, task in again.tasks.items()} == {
        n: task.files for n, task in family.tasks.items()
    }
    assert again.tasks["000"].about == family.tasks["000"].about
    other = make(next(islice(items(path, 3), 1, 2)))
    assert other.files["data.sqlite"] != family.files["data.sqlite"]


def test_neither_the_order_of_sets_nor_the_process_changes_a_family(
    family: Family, tmp_path: Path
) -> None:
    path = archive(tmp_path / "Packages")
    code = (
        "import sys\nfrom speciale.synth.search import author\nauthor.TASKS = 5\n"
        "family = author.make(next(author.items(sys.argv[1], 3)))\n"
        "print(family.digest('000'), family.digest('004'))\n"
    )
    given = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env={**os.environ, "PYTHONHASHSEED": "77"}, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    same = make(next(items(path, 3)))
    assert given == [same.digest("000"), same.digest("004")]
    assert same.tasks["004"].files == family.tasks["004"].files


def test_a_family_has_levels_evidence_and_a_source(family: Family) -> None:
    assert family.about.kind == "search" and family.about.category == "debian"
    assert "sha256" in family.about.source and len(family.tasks) == 5
    levels = {task.about.level for task in family.tasks.values()}
    assert len(levels) >= 3
    for number, task in family.tasks.items():
        about = task.about
        assert about.metadata["passes"] == {"graph": "agrees", "scan": "agrees", "tools": "agrees"}
        for candidate in about.metadata["candidates"]:
            assert candidate["verdict"].split(":")[0] in ("right", "wrong", "none")
        assert about.metadata["right"] < len(about.metadata["candidates"])
        assert about.metadata["depth"] == about.level
        if about.harder_than:
            easier = family.tasks[about.harder_than].about
            assert about.harder_than < number and easier.level < about.level
            assert easier.metadata["walk_calls"] < about.metadata["walk_calls"]
    assert set(json.loads(family.files[DROPPED])) == {"drafts", "corpus"}


def test_prompts_differ_and_do_not_hold_their_answers(family: Family) -> None:
    prompts = [task.about.prompt for task in family.tasks.values()]
    assert len(set(prompts)) == len(prompts)
    for task in family.tasks.values():
        right = rights(task.verify)["RIGHT"]
        assert list(task.about.answer_schema["properties"]) == list(right)
        assert not all(str(value) in task.about.prompt for value in right.values())


def test_the_named_document_holds_what_is_asked(family: Family, tmp_path: Path) -> None:
    (tmp_path / "data.sqlite").write_bytes(family.files["data.sqlite"])
    db = sqlite3.connect(tmp_path / "data.sqlite")
    for task in family.tasks.values():
        right = rights(task.verify)["RIGHT"]
        read = "SELECT text FROM documents WHERE title = ?"
        (text,) = db.execute(read, (right["package"],)).fetchone()
        for name in set(right) - {"package", "count", "names"}:
            assert name.startswith("total_") or str(right[name]) in text
    db.close()


def rights(source: str) -> dict:
    """The constants of a verifier."""
    return {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign)
    }


def test_a_persons_name_with_the_address_is_the_name_too(tmp_path: Path) -> None:
    path, found = archive(tmp_path / "Packages"), []
    for item in islice(items(path, 8), 2):
        for task in make(item).tasks.values():
            known = rights(task.verify)
            if "maintainer" in known["RIGHT"]:
                found += known["ALIASES"]["maintainer"]
                assert known["RIGHT"]["maintainer"] in known["ALIASES"]["maintainer"][0]
    assert found and all("@" in each for each in found)


def test_a_family_comes_back_from_its_folder(family: Family, tmp_path: Path) -> None:
    write_family(tmp_path, family)
    assert read_family(tmp_path) == family


def test_depth_and_breadth_are_as_wanted(tmp_path: Path) -> None:
    path = archive(tmp_path / "Packages")
    made = make(next(items(path, 2, depth=2, breadth=3)))
    assert {task.about.metadata["depth"] for task in made.tasks.values()} == {2}
    assert all(task.about.metadata["breadth"] >= 3 for task in made.tasks.values())
    with pytest.raises(ConfigError, match="depth is 0"):
        next(items(path, 2, depth=0))


def test_the_command_says_at_once_what_no_item_could_do(tmp_path: Path) -> None:
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commands, "_run", lambda work, *_rest: asked.append(next(work)))
        commands.search(str(archive(tmp_path / "Packages")), depth=3)
        with pytest.raises(DataError, match="no corpus"):
            commands.search(str(tmp_path / "none"))
    assert [(item["depth"], item.get("breadth")) for item in asked] == [(3, None)]


def test_a_folder_of_papers_with_bad_files_gives_questions(tmp_path: Path) -> None:
    made = make(next(items(papers(tmp_path / "papers", 80), 1)))
    assert made.tasks and made.about.category == "doc"
    assert json.loads(made.files[DROPPED])["corpus"]["too large"] == 1


def test_thresholds_are_round_and_tell_apart() -> None:
    assert _between(301, 699) == 400 and _between(41, 49) == 41 and _between(999, 1001) == 1000
    (more,) = _thresholds("size", 700, [100, 300])
    assert more.op == "more" and 300 <= int(more.value) < 700
    (less,) = _thresholds("size", 50, [100, 300])
    assert less.op == "less" and 50 < int(less.value) <= 100
    assert _thresholds("size", 200, [100, 300]) == [] == _thresholds("size", 5, [None])


def test_the_gates_accept_the_tasks(family: Family) -> None:
    numbers = [n for n, task in family.tasks.items() if not task.about.harder_than][:2]
    small = replace(family, tasks={number: family.tasks[number] for number in numbers})
    judged = asyncio.run(judge(small))
    refused = {n: one.refusal for n, one in judged.items() if one.refusal}
    assert all(gate.number == 8 for gate in refused.values()), refused
    assert len(refused) < len(judged)
