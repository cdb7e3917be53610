"""search and open over real folders: what is found, changes, two processes, broken caches."""

import asyncio
import os
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speciale.agents.tools import search_index
from speciale.agents.tools.search import search_tools
from speciale.agents.tools.search_index import SearchIndex, cache_folder
from speciale.agents.tools.search_query import snippet
from speciale.errors import ConfigError

DOCUMENTS = {
    "rivers/danube.txt": "The Danube rises in the Black Forest and ends in the Black Sea.\n",
    "rivers/rhine.md": "# The Rhine\n\nIt rises in the Alps. Ferries cross it near Mainz.\n",
    "towns/ulm.html": "<title>Ulm</title><p>Ulm lies at the Danube; its minster is tall.",
    "code/tower.py": "def tallest_tower(towers):\n    return max(towers)\n",
    "code/copy.py": "def tallest_tower(towers):\n    return max(towers)\n",
    "chinese.txt": "深度学习是机器学习的一个分支。\n",
    "french.txt": "Le café est fermé pendant l'été.\n",
    "long.txt": "".join(f"Line {n} of the log says nothing.\n" for n in range(2000))
    + "At last the needle appears.\n",
    "picture.png": "\x89PNG\0\0",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(search_index, "FRESH_S", 0.0)
    monkeypatch.setattr(search_index, "REST", 0.0)
    root = tmp_path / "documents"
    for name, text in DOCUMENTS.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")
    return root


def ask(folder, *calls):
    """Results of calls, each a name and arguments; a function instead is called in between."""

    async def run():
        said = []
        async with search_tools(folder) as environment:
            for call in calls:
                if callable(call):
                    call()
                else:
                    name, arguments = call
                    said.append(await environment.call(name, arguments))
        return said

    return asyncio.run(run())


def found(folder, *queries):
    """The ids that each query finds, best first."""
    said = ask(folder, *(("search", {"query": query}) for query in queries))
    assert not any(result.error for result in said)
    return [
        [line.split(" ")[1] for line in result.text.splitlines() if line[:1].isdigit()]
        for result in said
    ]


def test_words_find_their_documents(folder):
    needle, danube, stem, title, code, accent, run, pair, single, nothing = found(
        folder, "needle", "where does the Danube rise", "ferry", "Ulm", "tallest_tower",
        "cafe ete", "机器学习", "学深", "习", "xylophone",
    )  # fmt: skip
    assert needle == ["long.txt"]
    assert danube[0] == "rivers/danube.txt" and "towns/ulm.html" in danube
    assert stem == ["rivers/rhine.md"]
    assert title == ["towns/ulm.html"]
    assert code[0] in ("code/tower.py", "code/copy.py")
    assert accent == ["french.txt"]
    assert run == single == ["chinese.txt"]
    assert pair == nothing == []


def test_quotes_prefer_words_in_a_row(folder):
    (folder / "a.txt").write_text("green tea; red and blue; a house that is red; of red a house")
    (folder / "b.txt").write_text("somewhere there was a long road and the red house and more tea")
    assert found(folder, '"red house"')[0][0] == "b.txt"


def test_what_search_says(folder):
    needle, code = (
        result.text
        for result in ask(
            folder, ("search", {"query": "needle", "top": 1}), ("search", {"query": "towers max"})
        )
    )
    assert needle.startswith("1. long.txt (page 18 of 18): long.txt\n")
    assert needle.endswith("At last the needle appears.")
    assert code.count("tallest_tower") == 1 and "The same text: code/" in code


def test_open_gives_pages(folder):
    first, last, beyond, unknown, outside, title = ask(
        folder,
        ("open", {"id": "long.txt"}),
        ("open", {"id": "long.txt", "page": 18}),
        ("open", {"id": "long.txt", "page": 19}),
        ("open", {"id": "nowhere"}),
        ("open", {"id": "../documents/long.txt"}),
        ("open", {"id": "towns/ulm.html"}),
    )
    assert first.text.startswith("[long.txt, page 1 of 18; go on with page=2]\nlong.txt\n\nLine 0 ")
    assert last.text.startswith("[long.txt, page 18 of 18]") and "needle" in last.text
    assert beyond.error and beyond.text == "long.txt has 18 pages: there is no page 19"
    assert unknown.error and "no document 'nowhere'" in unknown.text
    assert outside.error
    assert "\nUlm\n\nUlm lies at the Danube" in title.text


def test_the_description_counts_what_is_left_out(folder):
    async def run():
        async with search_tools(folder) as environment:
            return environment.tools[0]["function"]["description"]

    assert "There are 8 documents; left out: 1 binary." in asyncio.run(run())


def test_changes_are_taken_in(folder):
    def change():
        (folder / "rivers/danube.txt").write_text("Now about the river Elbe.")
        (folder / "new.txt").write_text("A zeppelin over the lake.")
        (folder / "long.txt").unlink()
        (folder / "picture.png").write_text("A drawing in letters.")

    search = [("search", {"query": q}) for q in ("Elbe", "zeppelin", "needle", "drawing", "forest")]
    before = ask(folder, *search, change, *search)
    assert ["No document" in result.text for result in before] == [
        *(True, True, False, True, False),
        *(False, False, True, False, True),
    ]
    assert found(folder, "zeppelin") == [["new.txt"]]  # opened anew


def test_an_index_is_not_made_twice(folder, monkeypatch):
    found(folder, "needle")
    monkeypatch.setattr(search_index, "read", lambda found: pytest.fail("read again"))
    assert found(folder, "needle") == [["long.txt"]]


def test_the_cache_is_apart_and_private(folder, tmp_path):
    before = sorted(folder.rglob("*"))
    found(folder, "needle")
    assert sorted(folder.rglob("*")) == before
    (place,) = (path for path in cache_folder().iterdir() if path.is_dir())
    assert cache_folder() == tmp_path / "cache/speciale/search"
    assert place.stat().st_mode & 0o077 == 0


def test_a_cache_below_the_folder_is_no_document(folder, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    assert found(folder, "needle") == [["long.txt"]]
    index = SearchIndex(folder)
    index.refresh(threading.Event())
    assert index.documents == 8


@pytest.mark.parametrize("fault", ["halved", "emptied", "noise", "gone", "meta"])
def test_a_broken_cache_is_made_again(folder, fault):
    assert found(folder, "needle") == [["long.txt"]]
    (place,) = (path for path in cache_folder().iterdir() if path.is_dir())
    for path in place.iterdir():
        data = path.read_bytes()
        if fault == "halved":
            path.write_bytes(data[: len(data) // 2])
        elif fault == "emptied":
            path.write_bytes(b"")
        elif fault == "noise" and path.suffix != ".lock":
            path.write_bytes(os.urandom(len(data)))
        elif fault == "gone" and path.suffix not in (".json", ".lock"):
            path.unlink()
        elif fault == "meta" and path.suffix == ".json":
            path.write_text("{}")
    assert found(folder, "needle", "Danube")[0] == ["long.txt"]


@pytest.mark.parametrize("fault", ["cleared", "overwritten"])
def test_a_cache_that_breaks_under_open_tools(folder, fault):
    def break_it():
        for path in filter(Path.is_file, cache_folder().rglob("*")):
            if fault == "cleared":
                path.unlink()
            elif path.suffix not in (".json", ".lock"):
                with path.open("r+b") as file:  # in place, so that what is mapped changes
                    file.write(b"\xff" * (path.stat().st_size // 2))

    search = ("search", {"query": "needle"})
    said = ask(folder, search, break_it, search, ("open", {"id": "long.txt"}))
    assert [result.error for result in said] == [False] * 3
    assert "long.txt" in said[1].text


def test_a_folder_that_is_gone_for_now(folder):
    away = folder.with_name("away")
    search = ("search", {"query": "needle"})
    said = ask(
        folder, search, lambda: folder.rename(away), search, lambda: away.rename(folder), search
    )
    assert said[1].error and "cannot be read any more" in said[1].text
    assert not said[2].error and "long.txt" in said[2].text


def test_folders_that_are_none(tmp_path):
    (tmp_path / "file").write_text("x")
    for name in ("missing", "file"):
        with pytest.raises(ConfigError, match=f"there is no folder .*{name}"):
            ask(tmp_path / name)


def test_an_empty_folder(folder):
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()
    (said,) = ask(folder, ("search", {"query": "anything"}))
    assert said.text == "No document has any of these words; there are 0 documents."


ODD = [
    "", " ", '"', '""', '"unclosed', "*", "a*", "AND", "OR NOT", "(((", "title:x", "x^3", "~",
    "[a TO b]", "+a -b", "\\", "/re/", "\0", "\ud800", "🙂", "'; DROP TABLE", "a" * 10_000,
    "the and of", "深", "«»", "\u0308",
]  # fmt: skip


def test_odd_queries_are_no_errors(folder):
    for result in ask(folder, *(("search", {"query": query}) for query in ODD)):
        assert not result.error


@pytest.fixture(scope="module")
def any_index(tmp_path_factory):
    root = tmp_path_factory.mktemp("documents")
    for name, text in DOCUMENTS.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root.with_name("any-cache")))
        index = SearchIndex(root)
        index.refresh(threading.Event())
        yield index


@settings(max_examples=200)
@given(query=st.text(max_size=60), top=st.integers(1, 50))
def test_no_query_raises(any_index, query, top):
    assert len(any_index.search(query, top)) <= top


BUILD = (
    "import sys, threading\n"
    "from pathlib import Path\n"
    "from speciale.agents.tools.search_index import SearchIndex\n"
    "index = SearchIndex(Path(sys.argv[1]))\n"
    "index.refresh(threading.Event())\n"
    "print(index.documents, [hit.id for hit in index.search('dedent', 3)])\n"
)


def test_processes_share_an_index(tmp_path):
    """Three build at once, and none of them fails or finds less."""
    library = Path(sysconfig.get_path("stdlib"))
    for path in library.glob("*.py"):
        (tmp_path / "documents").mkdir(exist_ok=True)
        (tmp_path / "documents" / path.name).write_bytes(path.read_bytes())
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-c", BUILD, str(tmp_path / "documents")]
    running = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = {process.communicate(timeout=120)[0] for process in running}
    assert len(said) == 1 and "textwrap.py" in said.pop()


def test_a_killed_builder_leaves_no_lock(folder):
    code = BUILD.replace(
        "index.refresh", "import os; index._add = lambda *a: os._exit(9)\nindex.refresh"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)])
    assert done.returncode == 9
    assert found(folder, "needle") == [["long.txt"]]


def test_a_stopped_refresh_keeps_what_it_read(folder, monkeypatch):
    stop, seen = threading.Event(), []
    real = search_index.read

    def slow(found):
        seen.append(found.id)
        if len(seen) == 3:
            stop.set()
        return real(found)

    monkeypatch.setattr(search_index, "read", slow)
    index = SearchIndex(folder)
    index.refresh(stop)
    assert len(seen) == 3
    index.refresh(threading.Event())
    assert len(seen) == len(DOCUMENTS) and index.documents == 8


def test_snippets_show_the_words():
    text = "filler " * 200 + "the red fox met a blue bird " + "filler " * 200
    piece = snippet(text, ["fox", "bird"])
    assert "red fox met a blue bird" in piece and piece.startswith("… ") and piece.endswith(" …")
    assert len(piece) < 260
    assert snippet("short\n text", ["absent"]) == "short text"
    assert snippet("", ["a"]) == ""
