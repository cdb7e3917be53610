"""A small archive of made-up packages, and a folder of papers, for the search agent's tests."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

PEOPLE = ("Ada Lind", "Bo Marek", "Cleo Ortiz", "Dag Nyberg", "Eve Sato", "Finn Weber", "Gil Toure")
HOSTS = ("amber.example", "birch.example", "cedar.example", "dune.example")
SECTIONS = ("net", "libs", "doc", "utils", "games")
TAGS = ("role::program", "role::shared-lib", "interface::web", "scope::utility", "use::viewing")
STEMS = ("alder", "basalt", "cirrus", "dolmen", "ermine", "fathom", "gannet", "heron", "ibex")


def archive(path: Path, count: int = 150, seed: int = 1) -> Path:
    """Writes control paragraphs of so many packages."""
    rng = Random(seed)
    names = [f"{rng.choice(STEMS)}-{rng.choice('klmnprst')}{number}" for number in range(count)]
    parts = []
    for number, name in enumerate(names):
        lines = [
            f"Package: {name}",
            f"Source: {STEMS[number * 7 % len(STEMS)]}-source-{number % 40}",
            f"Version: {rng.randint(1, 9)}.{rng.randint(0, 20)}-{number}",
            f"Installed-Size: {rng.randint(20, 90_000)}",
            f"Maintainer: {rng.choice(PEOPLE)} <someone@{rng.choice(HOSTS)}>",
            f"Architecture: {rng.choice(('all', 'amd64'))}",
        ]
        for field, chance in (("Depends", 0.8), ("Suggests", 0.4), ("Recommends", 0.3)):
            if number > 4 and rng.random() < chance:
                linked = rng.sample(names[: max(5, number)], rng.randint(1, 3))
                lines.append(f"{field}: " + ", ".join(f"{each} (>= 1.0)" for each in linked))
        lines += [
            f"Description: {rng.choice(TAGS).replace('::', ' ')} of the {rng.choice(STEMS)} kind",
            f"Homepage: https://{rng.choice(HOSTS)}/{name}",
            f"Tag: {', '.join(rng.sample(TAGS, 2))}",
            f"Section: {rng.choice(SECTIONS)}",
            f"Size: {rng.randint(1_000, 9_000_000)}",
            "SHA256: 00ff",
        ]
        parts.append("\n".join(lines) + "\n")
    path.write_text("\n".join(parts), encoding="utf-8")
    return path


def papers(root: Path, count: int = 40) -> Path:
    """A folder of copyright notes, and beside them what no reader should choke on."""
    for number in range(count):
        folder = root / f"{STEMS[number % len(STEMS)]}{number}"
        folder.mkdir(parents=True)
        year, person = 1990 + number % 30, PEOPLE[number % len(PEOPLE)]
        (folder / "copyright").write_text(
            f"Upstream-Name: project {number}\nSource: https://{HOSTS[number % 4]}/{number}\n\n"
            f"Files: *\nCopyright: {year} {person} <a@{HOSTS[number % 3]}>\n"
            f"License: {('MIT', 'GPL-2+', 'Apache-2.0')[number % 3]}\n"
        )
    (root / "image.txt").write_bytes(b"\x89PNG\0\0\1\2" * 100)
    (root / "latin.txt").write_bytes("Ein Café und ein Fluß.\n".encode("latin-1"))
    (root / "broken.html").write_bytes(b"<p>\xff\xfe <![ <b>no end &#xZZ; <!DOCTYPE \xc3")
    (root / "bad.gz").write_bytes(b"\x1f\x8b\x08\x00 this is no archive")
    (root / "nothing.txt").write_bytes(b"")
    with (root / "huge.log").open("wb") as file:
        file.truncate(1 << 30)
    os.symlink("/etc/passwd", root / "out.txt")
    os.symlink("/etc", root / "way-out")
    return root
