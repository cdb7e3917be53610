"""The documentation: links that lead somewhere, commands that exist, a site without a network."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from html import unescape
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

import pytest
import typer
from playwright.sync_api import expect
from typer.core import TyperGroup

from speciale.cli import app

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
TEXTS = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.glob("*.md"))]
# What the site is made of.
PARTS = (
    "mkdocs.yml", "docs", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Dockerfile", "deploy",
    "src", "benchmarks",
)  # fmt: skip


def short(path):
    return path.relative_to(ROOT).as_posix()


# --- links ----------------------------------------------------------------------------------------


def links(text):
    """The targets of Markdown links, without those in code."""
    text = re.sub(r"^```.*?^```|`[^`\n]+`", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"\]\(([^)\s]+)\)", text)


@pytest.mark.parametrize("path", TEXTS, ids=short)
def test_relative_links_lead_to_files(path):
    for link in links(path.read_text("utf-8")):
        target = link.partition("#")[0]
        if target and "://" not in target:
            found = Path(os.path.normpath(path.parent / target))
            assert found.exists() and found.is_relative_to(ROOT), f"{short(path)}: {link}"


def test_every_page_is_linked_from_the_first_one():
    """By way of other pages of docs/."""
    seen, waiting = set(), [DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        seen.add(page)
        targets = {(DOCS / link.partition("#")[0]) for link in links(page.read_text("utf-8"))}
        waiting += [t for t in targets if t.suffix == ".md" and t.parent == DOCS and t not in seen]
    assert seen == set(DOCS.glob("*.md"))


# --- commands -------------------------------------------------------------------------------------


def commands(text):
    """The command lines of `speciale` in the shell code of a text, each as its words."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    blocks += re.findall(r"^    speciale .*\n", text, re.MULTILINE)
    for line in "".join(blocks).replace("\\\n", " ").splitlines():
        words = shlex.shlex(line, posix=True, punctuation_chars=True)
        words.whitespace_split = True
        found = None  # the command that is being read
        for word in [*words, ";"]:
            if set(word) <= set("();|&<>"):
                if found is not None:
                    yield found
                found = None
            elif found is not None:
                found.append(word)
            elif word.rpartition("/")[2] == "speciale":
                found = []


def check(words):
    """Raises what the command line raises for words that it does not know; runs nothing."""
    command = typer.main.get_command(app)
    context = command.make_context("speciale", list(words))
    while rest := isinstance(command, TyperGroup) and [*context._protected_args, *context.args]:
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("path", TEXTS, ids=short)
def test_commands_in_the_texts_exist(path):
    for words in commands(path.read_text("utf-8")):
        try:
            check(words)
        except Exception as error:
            pytest.fail(f"{short(path)}: speciale {shlex.join(words)}: {error!r}")


def test_the_check_of_commands_bites():
    lines = ("A=$(b) speciale chat x --no-such  # speciale x", "speciale chta x; speciale chat a")
    found = list(commands("```sh\n" + "\n".join(lines) + "\n```\n"))
    assert found == [["chat", "x", "--no-such"], ["chta", "x"], ["chat", "a"]]
    check(found[2])
    for words in (found[0], found[1], ["chat", "a", "--seed", "x"], ["tasks", "shwo"], ["rl"]):
        with pytest.raises(Exception, match=r"(?i)no such|valid integer|missing"):
            check(words)
    assert sum(len(list(commands(path.read_text("utf-8")))) for path in TEXTS) > 100


def test_the_table_of_commands_has_them_all():
    text = (DOCS / "command-line.md").read_text("utf-8")
    listed = re.findall(r"^\| `speciale ([a-z-]+)`", text, re.MULTILINE)
    assert sorted(listed) == sorted(typer.main.get_command(app).commands)


# --- the site -------------------------------------------------------------------------------------


def build(root, site):
    """MkDocs over the files of `root`, as `make docs` runs it; its exit code and what it said."""
    assert find_spec("mkdocs"), "the tests of the site need MkDocs: `pip install -e '.[docs]'`"
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(site)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs") / "site"
    code, said = build(ROOT, folder)
    assert code == 0, said
    return folder


@pytest.mark.slow
def test_dead_links_and_forgotten_pages_are_refused(tmp_path):
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", "node_modules")
    for name in PARTS:
        copy = shutil.copy if (ROOT / name).is_file() else shutil.copytree
        copy(ROOT / name, tmp_path / name, **({} if copy is shutil.copy else {"ignore": ignore}))
    dead = ("no-page.md", "../src/speciale/no_file.py", "rl.md#no-anchor", "../README.md#none")
    with (tmp_path / "docs" / "rl.md").open("a") as page:
        page.write("".join(f"\n[x]({link})\n" for link in dead))
    (tmp_path / "docs" / "forgotten.md").write_text("# Forgotten\n")
    code, said = build(tmp_path, tmp_path / "site")
    assert code == 1 and "Aborted with 5 warnings in strict mode" in said
    for hint in ("no-page.md", "no_file.py", "#no-anchor", "#none", "forgotten.md"):
        assert re.search(f"WARNING.*(\n.*)*?{re.escape(hint)}", said), said


@pytest.mark.slow
def test_all_of_the_site_lies_in_it_and_every_link_leads_to_an_anchor(site):
    (site / "404.html").unlink(missing_ok=True)  # for web servers alone: its paths are absolute
    pages = {path: path.read_text("utf-8") for path in site.rglob("*.html")}
    anchors = {path: set(re.findall(r'\bid="([^"]+)"', text)) for path, text in pages.items()}
    assert len(pages) > 300
    for path, text in pages.items():
        loaded = re.findall(r'<(?:script|img|iframe|source)\b[^>]*?\bsrc="([^"]+)"', text)
        loaded += re.findall(r'<link\b[^>]*?\bhref="([^"]+)"', text)
        assert not [url for url in loaded if re.match(r"(?:[a-z]+:)?//|/|http", url)], path
        followed = re.findall(r'<a\b[^>]*?\bhref="([^"]+)"', text)
        for url in {*loaded, *followed}:
            if re.match(r"[a-z]+:", url):
                continue
            target, _, anchor = unquote(unescape(url)).partition("#")
            found = Path(os.path.normpath(path.parent / target)) if target else path
            found = found / "index.html" if found.is_dir() else found
            assert found.is_file(), (path, url)
            if anchor and found in anchors and not anchor.startswith("__"):
                assert anchor in anchors[found], (path, url)
    for path in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(?:[a-z]+:)?//", path.read_text("utf-8")), path


@pytest.fixture
def open_page(chromium, site):
    """Opens a page from the disk; at the end nothing may have come from elsewhere or gone wrong."""
    pages, asked, problems = [], [], []

    def open_(name, width, scheme="light"):
        page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.set_default_timeout(15_000)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: problems.append(said.text))
        page.goto((site / name).as_uri())
        pages.append(page)
        return page

    yield open_
    for page in pages:
        page.close()
    away = [url for url in asked if not url.startswith((site.as_uri(), "data:", "blob:"))]
    assert (problems, away) == ([], [])


@pytest.mark.slow
def test_the_site_opens_from_the_disk_and_finds_words(open_page):
    page = open_page("index.html", 1300)
    for name in ("How to", "Operations", "The report", "Reference"):
        expect(page.get_by_role("navigation", name="Tabs").get_by_text(name)).to_be_visible()
    page.get_by_role("textbox", name="Search").fill("lightning indexer")
    found = page.locator(".md-search-result__item a").filter(has_text="The model")
    found.first.click()
    expect(page).to_have_url(re.compile(r"/model\.html"))
    page.get_by_role("link", name="model/indexer.py").click()
    expect(page.locator("code").first).to_contain_text("class Indexer(nn.Module)")
    page = open_page("reference/speciale.model.html", 1300)
    expect(page.locator("h2", has_text="speciale.model.indexer")).to_be_visible()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_wider_than_the_screen(open_page, site, scheme):
    names = [path.name for path in site.glob("[!4]*.html")]
    assert len(names) > 20
    for name in (*names, "source/index.html", "reference/speciale.engine.html"):
        page = open_page(name, 420, scheme)
        assert page.evaluate("document.documentElement.scrollWidth") == 420, name
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(255, 255, 255)") == (scheme == "light"), ground
        page.close()
