"""Exports: every accepted task and nothing else, in JSON lines, Parquet and for verifiers."""

import base64
import json
import os
import runpy
import sys
import types

import pyarrow.parquet as pq
import pytest
from small_worlds import Inline, items, make, quick_folder

from speciale.errors import ConfigError, DataError
from speciale.synth.export import export_jsonl, export_parquet, export_verifiers
from speciale.synth.run import run
from speciale.synth.statistics import gate_name, statistics
from speciale.synth.store import Store
from speciale.tasks import load_tasks


@pytest.fixture(scope="module")
def folder():
    with quick_folder() as made:
        yield made


@pytest.fixture(scope="module")
def store(folder):
    with Store(folder / "My store!") as store:
        run(items(9), 10_000, store, Inline())
        yield store


def lines(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_json_lines_hold_all_that_a_task_is(store, folder):
    path = folder / "tasks.jsonl"
    said = export_jsonl(store, path)
    rows = lines(path)
    accepted = list(store.index.tasks(accepted=True))
    assert [row["id"] for row in rows] == [f"{r['family']}/{r['number']}" for r in accepted]
    assert said == f"{len(rows)} tasks" and len(rows) > 5
    row = rows[0]
    family = make({"key": row["family"], "number": int(row["family"][-4:])})
    task = family.tasks[row["id"][-3:]]
    assert row["prompt"] == task.about.prompt and row["answer"] == {"it": [1, "é"]}
    assert row["tools"][0]["function"]["name"] == "look"
    assert (row["level"], row["kind"], row["category"]) == (
        task.about.level, "general", family.about.category,
    )  # fmt: skip
    assert (row["calls"], row["pass_rate"]) == (3 + row["level"], 0.5)
    assert row["space_log10"] == 2.5 * row["level"] and row["digest"] == family.digest(
        row["id"][-3:]
    )
    assert row["solution"] == task.solution and row["verify"] == task.verify
    files = row["environment"]
    assert files["schema.sql"] == "create table t(a);\n"
    assert base64.b64decode(files["data.sqlite"]["base64"]) == family.files["data.sqlite"]


def test_parquet_holds_the_same(store, folder):
    export_jsonl(store, folder / "tasks.jsonl")
    export_parquet(store, folder / "tasks.parquet")
    table = pq.read_table(folder / "tasks.parquet")
    assert str(table.schema.field("calls").type) == "int32"
    for flat, row in zip(table.to_pylist(), lines(folder / "tasks.jsonl"), strict=True):
        environment = dict(flat.pop("environment"))
        family = make({"key": row["family"], "number": int(row["family"][-4:])})
        assert environment == family.files
        for name, value in flat.items():
            nested = name in ("tools", "answer", "answer_schema", "metadata")
            assert (json.loads(value) if nested else value) == row[name], name


def test_a_package_for_verifiers_holds_its_tasks(store, folder, monkeypatch):
    target = folder / "package"
    count = len(list(store.index.tasks(accepted=True)))
    assert export_verifiers(store, target) == f"speciale-my-store, {count} tasks"
    stub = types.ModuleType("verifiers")
    stub.Environment = object
    monkeypatch.setitem(sys.modules, "verifiers", stub)
    moved = target.rename(folder / "moved")  # it is found beside its module, wherever that is
    module = runpy.run_path(str(moved / "speciale_my_store.py"))
    tasks = list(load_tasks(module["SOURCE"]))
    assert {task.id for task in tasks} == {
        f"{row['family']}/{row['number']}" for row in store.index.tasks(accepted=True)
    }
    assert json.loads(tasks[0].answer) == {"it": [1, "é"]} and tasks[0].tools
    project = (moved / "pyproject.toml").read_text()
    assert '"speciale_my_store_store/**"' in project and "jsonl" not in project
    with pytest.raises(DataError, match="not empty"):
        export_verifiers(store, moved)


def test_tasks_that_were_changed_since_are_left_out(tmp_path):
    with Store(tmp_path / "store") as store:
        run(items(3), 10_000, store, Inline())
        before = len(list(store.index.tasks(accepted=True)))
        id = store.ids()[0]
        number = store.entry(id).accepted[0]
        (tmp_path / f"store/families/{id}/tasks/{number}/verify.py").write_text("def verify(): 1")
        said = export_jsonl(store, tmp_path / "a.jsonl")
        assert said.startswith(f"{before - 1} tasks; 1 left out")
        assert f"{id}/{number}" not in [row["id"] for row in lines(tmp_path / "a.jsonl")]


def test_nothing_is_written_where_there_is_nothing_or_no_way(tmp_path, monkeypatch):
    with Store(tmp_path / "store") as store:
        for export in (export_jsonl, export_parquet, export_verifiers):
            with pytest.raises(DataError, match="has no accepted task"):
                export(store, tmp_path / "out")
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(ConfigError, match="parquet"):
            export_parquet(store, tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == ["store"]


def test_statistics_count_what_is_there(store):
    found = statistics(store)
    rows = list(store.index.tasks())
    accepted = [row for row in rows if row["accepted"]]
    assert found.items == {"failed": 1, "kept": found.families, "rejected": 8 - found.families}
    assert found.tasks == {"general": (len(accepted), len(rows))}
    assert found.accepted == len(accepted) and found.duplicates == 0
    assert found.refused == {4: len(rows) - len(accepted)}
    assert found.reasons == {4: [("The verifier accepts null.", len(rows) - len(accepted))]}
    assert dict(found.without) == {"no world came of it": 1, "a fault of the author's": 1}
    assert sum(found.counts["category"].values()) == len(accepted)
    assert [(each.level, each.calls, each.space, each.pass_rate) for each in found.levels] == [
        (level, 3 + level, 2.5 * level, 0.5) for level in (1, 2, 3)
    ]
    assert sum(found.likeness.values()) == len(accepted)
    travel = statistics(store, category="travel")
    assert set(travel.counts["category"]) == {"travel"} and travel.accepted < found.accepted
    assert gate_name(4) == "4 rejects"
