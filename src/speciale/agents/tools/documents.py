"""A folder as documents: text, Markdown, HTML, source code and `.gz` of those, cut into pages.

Folders are walked by descriptor (openat(2) with O_NOFOLLOW), so that no link, not even one that is
put there while we read, leads out of the folder; a compressed file is read no further than allowed.
"""

from __future__ import annotations

import os
import re
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

MOST_BYTES = 16 << 20  # of a file, and of what comes out of a .gz
MOST_DEPTH = 200  # of folders in folders, from the root of the file system
PAGE = 4000  # characters; a page ends with a line where it can

# What a document may be named; the title of a page or its first heading says more.
_HTML = (".html", ".htm", ".xhtml")
_MARKDOWN = (".md", ".markdown")
_HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t#]*$", re.MULTILINE)
# ASCII's control characters that no text holds; escape, tab, feeds and backspace are in some.
_BINARY = bytes(set(range(32)) - set(b"\t\n\v\f\r\b\x1b"))
# fmt: off
_BLOCKS = {
    "address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "fieldset",
    "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr",
    "li", "main", "nav", "ol", "p", "pre", "section", "table", "td", "th", "title", "tr", "ul",
}
# fmt: on
_HIDDEN = {"script", "style", "template", "noscript", "svg"}


@dataclass(frozen=True)
class Found:
    """A regular file below the folder. `stamp` changes when the file does."""

    path: str  # from the folder, with slashes
    stamp: str
    size: int
    name: str
    folder: int  # descriptor of its folder, open until the next one is asked for

    @property
    def id(self) -> str:
        """The path as JSON can have it: names need not be UTF-8."""
        return _readable(self.path)


@dataclass(frozen=True)
class Document:
    title: str
    text: str


class Unfit(Exception):
    """A file that is no document; its text says which kind: binary, too large, unreadable."""


def walk(root: Path, without: Path) -> Iterator[Found]:
    """Every regular file below `root`, in the order of names; hidden names, links and the folder
    `without` are left out. A folder that may not be read is passed over."""
    for folder, folders, files, descriptor in os.fwalk(root):
        inner = (name for name in folders if not name.startswith("."))
        folders[:] = sorted(name for name in inner if os.path.join(folder, name) != str(without))
        if folder.count(os.sep) > MOST_DEPTH:  # each is an open file, and a call in a call
            folders.clear()
        for name in sorted(files):
            if name.startswith("."):
                continue
            try:
                about = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            except OSError:  # gone since it was listed
                continue
            if stat.S_ISREG(about.st_mode):
                path = os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/")
                stamp = f"{about.st_size} {about.st_mtime_ns} {about.st_ino}"
                yield Found(path, stamp, about.st_size, name, descriptor)


def read(found: Found) -> Document:
    """The document in a file that `walk` has just found. Raises Unfit."""
    if found.size > MOST_BYTES:
        raise Unfit("too large")
    name = found.name
    try:
        descriptor = os.open(
            found.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=found.folder
        )
        with open(descriptor, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise Unfit("unreadable") from error
    if name.lower().endswith(".gz"):
        name = name[:-3]
        data = _unzipped(data)
    if len(data) > MOST_BYTES:
        raise Unfit("too large")
    return document(name, _readable(_decoded(data)))


def document(name: str, text: str) -> Document:
    """The text of a file of this name as people read it, and a title."""
    title = ""
    if name.lower().endswith(_HTML):
        reader = _Reader()
        reader.feed(text)
        reader.close()
        title, text = reader.title, reader.text
    elif name.lower().endswith(_MARKDOWN) and (heading := _HEADING.search(text)):
        title = heading[1]
    return Document(" ".join(title.split())[:200] or _readable(name), text)


def pages(text: str) -> list[str]:
    """`text` in pieces of at most PAGE characters that join to it again; at least one."""
    cut, start = [], 0
    while len(text) - start > PAGE:
        end = start + PAGE
        # The end of a paragraph or else of a line, in the second half of the page.
        for mark in ("\n\n", "\n", " "):
            place = text.rfind(mark, start + PAGE // 2, end)
            if place >= 0:
                end = place + len(mark)
                break
        cut.append(text[start:end])
        start = end
    return [*cut, text[start:]]


def _unzipped(data: bytes) -> bytes:
    """Every member of a gzip file, to one byte beyond what is allowed."""
    out, room = [], MOST_BYTES + 1
    while data and room > 0:
        member = zlib.decompressobj(wbits=31)
        try:
            piece = member.decompress(data, room)
        except zlib.error as error:
            if out:  # what follows the last member is padding
                break
            raise Unfit("unreadable") from error
        out.append(piece)
        room -= len(piece)
        data = member.unused_data
        if not member.eof:
            break
    return b"".join(out)


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    head = data[:8192]
    if b"\0" in data or len(head.translate(None, _BINARY)) < len(head) * 0.98:
        raise Unfit("binary")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _readable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


class _Reader(HTMLParser):
    """The text of a page with its lines, and its title."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[str] = []
        self._titles: list[str] = []
        self._hidden: str | None = None
        self._verbatim = 0
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if self._hidden:
            return
        if tag in _HIDDEN:
            self._hidden = tag
        elif tag in _BLOCKS:
            self._parts.append("\n")
        self._verbatim += tag == "pre"
        self._in_title = self._in_title or (tag == "title" and not self._titles)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        if tag in _BLOCKS and not self._hidden:
            self._parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if self._hidden:
            if tag == self._hidden:
                self._hidden = None
            return
        if tag in _BLOCKS:
            self._parts.append("\n")
        self._verbatim -= tag == "pre" and self._verbatim > 0
        self._in_title = self._in_title and tag != "title"

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        if self._in_title:
            self._titles.append(data)
        elif self._verbatim:
            self._parts.append(data)
        else:
            self._parts.append(re.sub(r"\s+", " ", data))

    @property
    def title(self) -> str:
        return "".join(self._titles)

    @property
    def text(self) -> str:
        text = re.sub(r"(?:[ \t]*\n){3,}", "\n\n", "".join(self._parts))
        return re.sub(r"(?m)^ (?=\S)|[ \t]+$", "", text).strip("\n") + "\n"
