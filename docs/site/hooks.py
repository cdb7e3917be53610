"""What the site has beside the Markdown files of docs/.

A page of reference for each package, out of its docstrings; and whatever of the repository a page
links to: another Markdown file as a page of its own, a source file as a page that shows it, a
package as its page of reference. So links work on the disk and in the site alike, and one to a file
that does not exist stays as it is, which MkDocs refuses.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SOURCES = ROOT / "src"
PROJECT = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")  # pages of mkdocs.yml's list

# A fenced block or code span, which is passed over; or the end of a link, with its target.
_LINK = re.compile(r"^```.*?^```|`[^`\n]+`|\]\(([^)\s]+)\)", re.DOTALL | re.MULTILINE)
_LANGUAGES = {".py": "python", ".toml": "toml", ".yaml": "yaml", ".cpp": "cpp", ".h": "cpp"}

_homes: dict[str, Path] = {}  # page of the site -> the file whose links it has


def on_config(config):
    """Lists the packages under the entry that mkdocs.yml leaves empty."""
    for entry in config.nav:
        if "Reference" in entry:
            entry["Reference"] = [{name: _reference(name)} for name in _packages()]
    return config


def on_files(files, config):
    _homes.clear()
    for name, folder in _packages().items():
        _add(files, config, _reference(name), _reference_text(name, folder), folder)
    for name in PROJECT:
        _source(files, config, ROOT / name)
    for path in sorted(DOCS.glob("*.md")):
        _homes[path.name] = path
        _follow(files, config, path.read_text("utf-8"), path)
    return files


def on_page_markdown(markdown, page, config, files):
    home = _homes.get(page.file.src_uri)
    return markdown if home is None else _rewritten(markdown, page.file.src_uri, home)


# --- links ----------------------------------------------------------------------------------------


def _target(link: str, home: Path) -> tuple[Path, str] | None:
    """The file of the repository that a link of `home` leads to, and the anchor there; None for
    addresses, for anchors alone and where there is no such file."""
    target, mark, anchor = link.partition("#")
    folder = home if home.is_dir() else home.parent
    path = Path(os.path.normpath(folder / target))
    if not target or "://" in target or not path.is_relative_to(ROOT) or not path.exists():
        return None
    return path, mark + anchor


def _follow(files, config, text: str, home: Path) -> None:
    for link in _LINK.findall(text):
        if (found := _target(link, home)) and not found[0].is_relative_to(DOCS):
            _source(files, config, found[0])


def _rewritten(markdown: str, page: str, home: Path) -> str:
    """The page's links, from paths of the repository to places of the site."""

    def placed(match: re.Match) -> str:
        if (link := match[1]) is None or (found := _target(link, home)) is None:
            return match[0]
        place = os.path.relpath(_place(found[0]), os.path.dirname(page))
        return f"]({place}{found[1]})"

    return _LINK.sub(placed, markdown)


# --- reference ------------------------------------------------------------------------------------


def _packages() -> dict[str, Path]:
    """Dotted name -> folder, of every package that has code."""
    folders = [path.parent for path in (SOURCES / "speciale").rglob("__init__.py")]
    return {
        ".".join(folder.relative_to(SOURCES).parts): folder
        for folder in sorted(folders)
        if len(list(folder.glob("*.py"))) > 1
    }


def _reference(name: str) -> str:
    return f"reference/{name}.md"


def _reference_text(name: str, folder: Path) -> str:
    """The package's own docstring, then a section for each module. Searches find pages first."""
    parts = [
        "---\nsearch: {boost: 0.3}\n---\n",
        f"# {name}\n",
        f"::: {name}\n    options: {{members: false}}\n",
    ]
    for path in sorted(folder.glob("[!_]*.py")):
        module = f"{name}.{path.stem}"
        shown = path.relative_to(SOURCES / "speciale").as_posix()
        parts.append(f"## {module} {{ #{module} }}\n")
        parts.append(f"[`{shown}`]({path.name})\n")
        parts.append(f"::: {module}\n")
    return "\n".join(parts)


# --- files that pages link to ---------------------------------------------------------------------


def _place(path: Path) -> str:
    """The page or file of the site that stands for a path of the repository."""
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix()
    if path.is_dir() and path.is_relative_to(SOURCES):
        name = ".".join(path.relative_to(SOURCES).parts)
        if name in _packages():
            return _reference(name)
    inside = f"source/{path.relative_to(ROOT).as_posix()}"
    if path.is_dir():
        return f"{inside}/index.md"
    return inside if path.suffix in (".md", ".png") else f"{inside}.md"


def _source(files, config, path: Path) -> None:
    """Adds what stands for `path`, unless it is there, and what that links to in turn."""
    place = _place(path)
    if place in _homes or place.startswith("reference/"):
        return
    if path.suffix == ".png":
        _homes[place] = path
        files.append(File.generated(config, place, abs_src_path=str(path)))
    else:
        _add(files, config, place, _shown(path), path)


def _add(files, config, place: str, text: str, home: Path) -> None:
    _homes[place] = home
    files.append(File.generated(config, place, content=text))
    _follow(files, config, text, home)


def _shown(path: Path) -> str:
    """A file of the repository as Markdown."""
    if path.suffix == ".md":
        return path.read_text("utf-8")
    name = path.relative_to(ROOT).as_posix()
    if path.is_dir():
        names = sorted(p.name for p in path.iterdir() if p.is_file() and p.name != "__init__.py")
        return f"# {name}/\n\n" + "\n".join(f"- [{each}]({each})" for each in names)
    text = path.read_text("utf-8").rstrip("\n")
    return (
        "---\nsearch: {exclude: true}\n---\n"  # its words are found in the reference
        f"# {name}\n\n````{_LANGUAGES.get(path.suffix, 'text')}\n{text}\n````\n"
    )
