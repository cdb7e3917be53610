"""The page over a store, in a real Chromium: what it shows, and texts that try to be more."""

import contextlib
import itertools
import json
import sqlite3
import urllib.error
import urllib.request
from dataclasses import replace

import pytest
from playwright.sync_api import expect
from small_worlds import make, quick_folder

from http_server import http_server
from speciale.errors import ConfigError, DataError
from speciale.sandbox import Sandbox
from speciale.synth.browse import browse_app, reading, serve
from speciale.synth.gates.gate import GATES, Gate, Judged
from speciale.synth.store import Store
from speciale.synth.work import Result
from speciale.tasks.synthesised.family import Family

EVIL = '"><img src=x onerror="document.title=1;alert(1)"><script>alert(2)</script>{{1}}'
TOOLS = f'''
def look(db, name: str) -> dict:
    """Looks {EVIL} up.

    Args:
        name: {EVIL}
    """
    return {{}}


def _helper():
    return {EVIL!r}
'''


def data(folder, name, rows):
    path = folder / "made.sqlite"
    path.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as db:
        quoted = name.replace('"', '""')
        db.execute(f'CREATE TABLE "{quoted}" (a, "{quoted}", c)')
        db.executemany(f'INSERT INTO "{quoted}" VALUES (?, ?, ?)', rows)
        db.execute("CREATE TABLE little (x)")
        db.commit()
    return path.read_bytes()


def family(id, database, prompt):
    made = make({"key": id, "number": 1})
    about = made.about.model_copy(update={"about": prompt, "source": prompt, "category": "odd"})
    tasks = {}
    for number, task in made.tasks.items():
        more = {"prompt": f"{number} {prompt} {task.about.prompt}", "pattern": prompt}
        files = {**task.files, "notes.txt": EVIL.encode() + b"\xff"}
        tasks[number] = replace(task, about=task.about.model_copy(update=more), files=files)
    files = {"schema.sql": EVIL.encode(), "tools.py": TOOLS.encode(), "data.sqlite": database}
    return Family(about, {**files, "files/a.csv": EVIL.encode()}, tasks)


def judged(made):
    """All pass but the last, whose refusal has a tongue of its own."""
    trace = [{"name": EVIL, "arguments": {EVIL: [EVIL]}, "result": EVIL}] * 3
    evidence = {1: {"trace": trace, "calls": 5}, 3: {"answer": {EVIL: EVIL}}, 4: {EVIL: EVIL}}
    evidence |= {6: {"calls": 5, "space_log10": 2.25}, 8: {"passed": 4, "attempts": 16}}
    found = {}
    for number in made.tasks:
        gates = [Gate(n, True, evidence.get(n, {})) for n in sorted(GATES) if n != 7]
        if number == "002":
            gates = [*gates[:3], Gate(4, False, {"tried": float("nan")}, f"It takes {EVIL}")]
        found[number] = Judged(made.digest(number), tuple(gates))
    return found


@pytest.fixture(scope="module")
def store():
    rows = [(n, EVIL if n == 3 else f"text {n}", None) for n in range(120)]
    rows[5] = (2**60, b"\0\1", 1e300)
    with (
        pytest.MonkeyPatch.context() as patch,
        quick_folder() as folder,
        Store(folder / "store") as store,
    ):
        patch.setattr(reading, "FAMILIES", 10)  # on a page of the list
        for id, database in (
            ("evil", data(folder, EVIL, rows)),
            ("broken", b"SQLite format 3\0" + b"\xff" * 5000),
            *((f"plain-{n:03}", b"") for n in range(12)),
        ):
            made = family(id, database, EVIL if id == "evil" else f"about {id}")
            store.commit(Result({"key": id, "author": "small"}, made, judged(made)))
        store.commit(Result({"key": "failed"}, reason=f"a fault: {EVIL}", failed=True))
        yield store


@pytest.fixture(scope="module")
def url(store):
    sandbox = Sandbox(warm=1)
    with http_server(browse_app(store, sandbox)) as url:
        yield url
    sandbox.close()


@pytest.fixture
def page(chromium, url):
    """A fresh page; at its end nothing may have been run, asked elsewhere or gone wrong."""
    page = chromium.new_page()
    page.set_default_timeout(15_000)
    dialogs, asked, problems = [], [], []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "console",
        lambda said: (
            problems.append(said.text)
            if said.type == "error" and "Failed to load" not in said.text
            else None
        ),
    )
    turn = itertools.count()  # another address each time: the page begins anew
    page.open = lambda place: (
        page.goto(f"{url}/?{next(turn)}#/{place}"),
        expect(page.locator("body.ready")).to_be_attached(),
    )
    yield page
    assert page.locator("img, iframe, main script").count() == 0
    page.close()
    assert (dialogs, problems) == ([], [])
    assert all(each.startswith(url) for each in asked)


def test_the_list_with_its_figures_filters_and_pages(page, store):
    page.open("")
    rows = page.locator("tbody").last.locator("tr")
    expect(rows).to_have_count(10)
    expect(page.locator(".tile").first).to_contain_text("14")
    assert page.locator("svg.chart").count() >= 6
    page.get_by_role("button", name="Next").click()
    expect(rows).to_have_count(5)
    expect(page.locator(".pager")).to_contain_text("11–15 of 15 environments")
    page.locator("select[name=state]").select_option("failed")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text(f"a fault: {EVIL}")
    page.locator("select[name=state]").select_option("all")
    search = page.get_by_label("Text")
    search.fill("%")  # no wildcard
    search.press("Enter")
    expect(rows).to_have_count(0)
    search.fill("PLAIN-01")
    search.press("Enter")
    expect(rows).to_have_count(2)
    page.locator("select[name=gate]").select_option("4 rejects")
    expect(rows).to_have_count(2)
    rows.first.get_by_role("link").click()
    expect(page.locator("h1")).to_have_text("plain-010")
    page.go_back()
    expect(rows).to_have_count(2)  # as it was left


def test_a_family_with_its_schema_rows_tools_and_files(page):
    page.open("evil")
    expect(page.locator("h1")).to_have_text("evil")
    text = page.locator("main")
    expect(text).to_contain_text(EVIL)
    tasks = page.get_by_role("region", name="Tasks").locator("tbody tr")
    expect(tasks).to_have_count(3)
    expect(tasks.nth(0)).to_contain_text("accepted")
    expect(tasks.nth(2)).to_contain_text(f"It takes {EVIL}")
    rows = page.get_by_role("region", name="Rows of").locator("tbody tr")
    expect(rows).to_have_count(50)
    expect(rows.nth(3)).to_contain_text(EVIL)
    expect(rows.nth(5)).to_contain_text(f"{2**60}(2 bytes)1e+300")
    expect(page.get_by_role("region", name="Rows of").locator("thead")).to_contain_text(EVIL)
    page.get_by_role("button", name="Next").click()
    expect(rows.nth(0)).to_contain_text("text 50")
    page.get_by_label("Table").select_option("little (0)")
    expect(rows).to_have_count(0)
    page.get_by_text("Schema").click()
    expect(page.locator("details[open] pre")).to_have_text(EVIL)
    tool = page.locator("details").filter(has_text="look(name)").first
    tool.locator("summary").click()
    expect(tool).to_contain_text("def look(db, name: str)")
    file = page.locator("details").filter(has_text="files/a.csv")
    file.locator("summary").click()
    expect(file.locator("pre")).to_have_text(EVIL)


def test_a_task_with_its_calls_code_and_gates(page):
    page.open("evil/000")
    expect(page.locator("pre.prompt")).to_contain_text(EVIL)
    expect(page.locator("ol.steps li")).to_have_count(3)
    expect(page.locator("ol.steps li").first).to_contain_text(EVIL)
    expect(page.locator("main")).to_contain_text("and 2 more")
    names = page.locator("section h2")
    expect(names).to_have_text(["solution.py", "verify.py", "notes.txt"])
    expect(page.locator("section pre").first).to_contain_text("def solve(tools)")
    gates = page.locator("details")
    expect(gates).to_have_count(8)
    gates.nth(3).locator("summary").click()
    expect(gates.nth(3).locator("pre")).to_contain_text("onerror")
    page.get_by_role("link", name="› 001").click()
    expect(page.locator("h1")).to_have_text("evil/001")
    page.open("evil/002")
    expect(page.locator("details[open]")).to_contain_text(f"It takes {EVIL}")
    expect(page.locator("details[open] pre")).to_contain_text("nan")


def test_what_is_broken_or_not_there_is_said(page):
    page.open("broken")
    expect(page.locator("p.error")).to_contain_text("The database cannot be read")
    expect(page.get_by_role("region", name="Tasks")).to_be_visible()
    page.open("failed")
    expect(page.locator("p.error")).to_have_text(f"a fault: {EVIL}")
    for nothing in ("none", "evil/999", "%2e%2e%2fevil", "<b>", "a/b/c"):
        page.open(nothing)
        expect(page.locator("p.error")).to_contain_text("There is no such thing")


def ask(url, path, **headers):
    request = urllib.request.Request(f"{url}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def test_the_server_answers_this_machine_alone_and_under_a_policy(url):
    for path in ("/", "/app.js", "/api/store", "/api/families/none", "/api/none", "/none"):
        status, headers, _ = ask(url, path)
        assert status == (404 if "none" in path else 200)
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "trusted-types 'none'" in headers["content-security-policy"]
    assert ask(url, "/api/store", Host="evil.example:80")[0] == 400
    for path in ("/../app.py", "/%2e%2e/app.py", "/style.css/..", "/rows_inside.py"):
        assert ask(url, path)[0] == 404
    status, _, body = ask(url, "/api/families?first=x")
    assert status == 422 and "whole number" in json.loads(body)["error"]
    for path in ("file?path=../../store.json", "file?path=env.toml", "rows?table=sqlite_schema"):
        assert ask(url, f"/api/families/evil/{path}")[0] == 404


def test_a_port_that_is_taken_is_an_error(url, store):
    port = int(url.rpartition(":")[2])
    with pytest.raises(ConfigError, match=f"port {port} of this machine cannot be used"):
        serve(store.folder, port)
    with pytest.raises(DataError, match="no store"):
        serve(store.folder / "families", port)
