"""The index in SQLite and in PostgreSQL: the same rows, from one writer or from several."""

import os
import sys
import threading
from pathlib import Path

import pytest
from small_worlds import Inline, index_rows, items, quick_folder, tree

from speciale.errors import ConfigError, SpecialeError
from speciale.synth.database import Database, meta, text
from speciale.synth.index import Index
from speciale.synth.run import run
from speciale.synth.statistics import statistics
from speciale.synth.store import Store
from speciale.synth.work import Result

sys.path.append(str(Path(__file__).parents[1] / "serve/accounts"))
from postgres_cluster import Cluster


@pytest.fixture(scope="module")
def cluster():
    cluster = Cluster()
    yield cluster
    cluster.remove()


@pytest.fixture
def folder():
    with quick_folder() as made:
        yield made


def database(cluster):
    return cluster.create(f"t{os.urandom(6).hex()}")


def fill(folder, count, url=None):
    with Store(folder, url) as store:
        run(items(count), 10_000, store, Inline())
        return index_rows(store), tree(folder), statistics(store)


def test_postgresql_holds_what_sqlite_holds(folder, cluster):
    url = database(cluster)
    inside = fill(folder / "a", 12)
    outside = fill(folder / "b", 12, url)
    assert inside == outside and inside[0]["synth_bands"]
    assert not (folder / "b/index.sqlite").exists()
    with Store(folder / "b", url) as store:
        store.rebuild()
        assert index_rows(store) == inside[0]
        assert [row["family"] for row in store.index.tasks(accepted=True, level=2)]
    with pytest.raises(ConfigError, match="another store"):
        Store(folder / "a", url)


def test_several_writers_on_one_postgresql(folder, cluster):
    url, faults = database(cluster), []

    def work():
        try:
            fill(folder / "b", 16, url)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    with Store(folder / "b", url) as store:
        found = index_rows(store), tree(folder / "b"), statistics(store)
    assert found == fill(folder / "a", 16)


def test_two_that_open_a_new_index_at_once_agree_whose_it_is(cluster):
    """A writer that finds no owner has the database to itself until it has written one."""
    url = database(cluster)
    first, second, found = Index(url), Index(url), []
    thread = threading.Thread(target=lambda: found.append(second.owner("two")))
    with first.database.writing() as connection:
        thread.start()
        thread.join(0.3)  # it waits
        assert found == []
        connection.execute(meta.insert().values(name="store", value="one"))
    thread.join()
    first.close()
    second.close()
    assert found == ["one"]


def test_a_postgresql_that_is_lost_or_wrong(folder, cluster):
    fill(folder, 3, database(cluster))
    url = database(cluster)
    with Store(folder, url) as store:  # a new one is filled from the folders
        assert len(index_rows(store)["synth_families"]) == 3
    for wrong in (url.replace("@/", "@/none"), url.replace("tester", "nobody")):
        with pytest.raises(SpecialeError) as caught:
            Store(folder, wrong)
        assert "unused-password" not in str(caught.value)


def test_rows_say_what_the_gates_measured(folder):
    with Store(folder) as store:
        run(items(6), 10_000, store, Inline())
        rows = list(store.index.tasks())
        kept = [row for row in rows if row["accepted"]]
        assert {(row["calls"], row["space"], row["pass_rate"]) for row in kept} <= {
            (3 + level, 2.5 * level, 0.5) for level in (1, 2, 3)
        }
        assert all(row["jaccard"] is not None and row["gate"] is None for row in kept)
        refused = [row for row in rows if not row["accepted"]]
        assert {(row["gate"], row["reason"]) for row in refused} == {
            (4, "The verifier accepts null.")
        }
        assert [row["family"] for row in rows] == sorted(row["family"] for row in rows)
        assert list(store.index.families(category="shop", state="kept"))


def test_odd_texts_go_into_every_database(folder, cluster):
    assert text("a\0b\ud800") == "a\ufffdb?" and text(None) is None
    for number, url in enumerate((None, database(cluster))):
        with Store(folder / str(number), url) as store:
            store.commit(Result({"key": "odd"}, reason="a\0b\ud800", failed=True))
            (row,) = store.index.families()
            assert row["reason"] == "a\ufffdb?"


def test_an_index_of_another_version_is_left_alone(folder):
    url = f"sqlite:///{folder}/index.sqlite"
    with Database(url).writing() as connection:
        connection.exec_driver_sql("UPDATE synth_meta SET value = '9' WHERE name = 'version'")
    with pytest.raises(ConfigError, match="version 9"):
        Index(url)


def test_urls_that_cannot_be_used_do_not_show_their_password(folder):
    for url in ("mysql://a:secret@b/c", "postgresql//a:secret@b", "sqlite://", "nothing"):
        with pytest.raises(ConfigError) as caught:
            Index(url)
        assert "secret" not in str(caught.value)
