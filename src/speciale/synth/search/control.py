"""Debian control paragraphs (`apt-cache dumpavail`): one document a package, its fields as facts.

Hashes and file names are left out: nobody would ask for them, and they are a third of the text.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

from speciale.errors import DataError
from speciale.synth.search.relations import Relation, Vocabulary

_NOISE = ("Description-md5:", "MD5sum:", "SHA1:", "SHA256:", "Filename:", "Build-Ids:")
COMMAND = ("apt-cache", "dumpavail")
_VERSIONED = r"\s*\([^)]*\)|:any|:native|:[a-z0-9]+$"


def dump(path: Path | None) -> str:
    """The paragraphs out of a file, or of what apt knows. DataError where there are none."""
    try:
        if path is not None:
            return path.read_text("utf-8", "replace")
        done = subprocess.run(COMMAND, capture_output=True, timeout=120, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        where = path or " ".join(COMMAND)
        raise DataError(
            f"{where} gives no package paragraphs ({error}): run `apt-get update`, or give a file"
        ) from None
    return done.stdout.decode("utf-8", "replace")


def paragraphs(text: str) -> Iterator[tuple[str, str, str]]:
    """(name, paragraph, fault) of each; a fault where it is no package: then it is passed over."""
    for number, paragraph in enumerate(text.split("\n\n"), 1):
        if not paragraph.strip():
            continue
        kept, name, leave = [], "", False
        for line in paragraph.strip("\n").split("\n"):
            if not line.startswith((" ", "\t")):
                leave = line.startswith(_NOISE)
                if line.startswith("Package: "):
                    name = line[9:].strip()
            if not leave:
                kept.append(line)
        if "\0" in paragraph or not name:
            yield f"paragraph {number}", "", "no package"
        else:
            yield name, "\n".join(kept) + "\n", ""


def _links(field: str, verb: str, bare: str) -> Relation:
    return Relation(
        name=field.lower().replace("-", "_"),
        pattern=rf"^{field}: (.*)$",
        split=r"[,|]",
        clean=_VERSIONED,
        label=f"{field}:",
        says=(f"{verb} {{v}}",),
        denies=(f"does not {bare} {{v}}",),
        among=f"the packages named in the field {field} of {{e}}",
    )


VOCABULARY = Vocabulary(
    kind="debian",
    noun="package",
    nouns="packages",
    key="package",
    name="the package's name as in its field Package",
    about="an archive of Debian packages, one document (its control fields) a package",
    note="Whatever a field such as Depends or Suggests names counts, alternatives too.",
    relations=(
        Relation(
            name="maintainer",
            pattern=r"^Maintainer: ([^<\n]*[^<\s])",
            label="Maintainer:",
            says=("is maintained by {v}", "has {v} as its maintainer", "is looked after by {v}"),
            denies=("is not maintained by {v}", "has another maintainer than {v}"),
            asks="the name of its maintainer (without the address)",
            shared="has the same maintainer as {e}",
            rare=True,
        ),
        Relation(
            name="section",
            pattern=r"^Section: (?:\S+/)?(\S+)$",
            label="Section:",
            says=("belongs to the section {v}", "is filed under the section {v}"),
            denies=("does not belong to the section {v}", "is not filed under the section {v}"),
            asks="its section",
        ),
        _links("Depends", "depends on", "depend on"),
        _links("Recommends", "recommends", "recommend"),
        _links("Suggests", "suggests", "suggest"),
        _links("Enhances", "enhances", "enhance"),
        _links("Conflicts", "conflicts with", "conflict with"),
        _links("Replaces", "replaces", "replace"),
        Relation(
            name="provides",
            pattern=r"^Provides: (.*)$",
            split=",",
            clean=_VERSIONED,
            label="Provides:",
            says=("provides {v}", "lists {v} under Provides"),
            denies=("does not provide {v}",),
            shared="provides something that {e} provides too",
        ),
        Relation(
            name="source",
            pattern=r"^Source: (\S+)",
            label="Source:",
            says=("is built from the source package {v}", "comes from the source {v}"),
            denies=("does not name {v} as its source",),
            asks="the source package named in its field Source",
            shared="names the same source package (field Source) as {e}",
            rare=True,
        ),
        Relation(
            name="homepage_host",
            pattern=r"^Homepage: https?://(?:www\.)?([^/\s:]+)",
            label="Homepage:",
            says=("has a home page on {v}", "keeps its home page at {v}"),
            denies=("has no home page on {v}",),
            shared="has its home page on the same host as {e}",
            rare=True,
        ),
        Relation(
            name="homepage",
            pattern=r"^Homepage: (\S+)$",
            label="Homepage:",
            says=(),
            denies=(),
            asks="the address of its home page",
        ),
        Relation(
            name="tag",
            pattern=r"^Tag: (.*(?:\n .*)*)",
            split=r",\s*",
            label="Tag:",
            says=("is tagged {v}", "carries the tag {v}"),
            denies=("is not tagged {v}", "lacks the tag {v}"),
        ),
        Relation(
            name="architecture",
            pattern=r"^Architecture: (\S+)$",
            label="Architecture:",
            says=("is for the architecture {v}", "has {v} in the field Architecture"),
            denies=("is not for the architecture {v}",),
        ),
        Relation(
            name="version",
            pattern=r"^Version: (\S+)$",
            label="Version:",
            says=(),
            denies=(),
            asks="its version",
        ),
        Relation(
            name="installed_size",
            pattern=r"^Installed-Size: (\d+)$",
            label="Installed-Size:",
            says=("has an installed size of {v} KB",),
            denies=("has an installed size other than {v} KB",),
            asks="its installed size in KB",
            number=True,
            above="has an installed size above {v} KB",
            below="has an installed size below {v} KB",
            most="the largest installed size",
            least="the smallest installed size",
            total="the sum of their installed sizes in KB",
        ),
        Relation(
            name="download_size",
            pattern=r"^Size: (\d+)$",
            label="Size:",
            says=("takes {v} bytes to download",),
            denies=("does not take {v} bytes to download",),
            asks="its download size in bytes (field Size)",
            number=True,
            above="takes more than {v} bytes to download (field Size)",
            below="takes fewer than {v} bytes to download (field Size)",
            most="the largest download (field Size)",
            least="the smallest download (field Size)",
            total="the sum of their download sizes in bytes (field Size)",
        ),
    ),
)
