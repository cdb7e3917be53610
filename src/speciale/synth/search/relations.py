"""What a document says, as typed facts: a relation reads its values out of a document's text.

The same patterns stand in the facts' graph, in solutions and in questions (V3.2 report, 3.2.3,
search agent). A second, independent reading is in scan.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from speciale.synth.search.steps_file import values


@dataclass(frozen=True)
class Relation:
    """`pattern` (multi-line, group 1 is the value) is read in the title, a line's end, and the
    text. Wordings have {v}, the value, or {e}, another document."""

    name: str  # also the key in an answer
    pattern: str
    says: tuple[str, ...]  # "is maintained by {v}"
    denies: tuple[str, ...]  # "is not maintained by {v}"
    label: str = ""  # in a line that holds the value; one with a colon begins it; "": any line
    place: Literal["text", "title", "head"] = "text"  # head: the first line of the text
    after: str = ""  # what always stands right behind a value
    asks: str = ""  # "the name of its maintainer"; "": it is never asked for
    split: str = ""  # pattern between several values
    clean: str = ""  # pattern of what is taken out of each value
    first: bool = False  # of several matches only the first one counts
    counts: bool = False  # the value is the number of values
    number: bool = False
    above: str = ""  # "has an installed size above {v} KB"
    below: str = ""
    most: str = ""  # "the largest installed size"
    least: str = ""
    total: str = ""  # "the sum of their installed sizes in KB"
    among: str = ""  # a link: "the packages that {e} depends on"
    shared: str = ""  # "has the same maintainer as {e}"
    kin: bool = False  # documents with the same value belong together
    rare: bool = False  # a value that names few documents, for the long tail

    @property
    def field(self) -> tuple[str, str, str, bool, bool]:
        """As steps_file.values takes it."""
        return (self.pattern, self.split, self.clean, self.first, self.counts)

    @property
    def in_title(self) -> bool:
        return self.place == "title"

    def values(self, document: str) -> tuple[str, ...]:
        """The values in a title with its text below, without repetition, in their order."""
        return tuple(values(self.field, document))


@dataclass(frozen=True)
class Vocabulary:
    """The relations of a kind of corpus, and how its documents are spoken of."""

    kind: str
    noun: str  # "package"
    nouns: str
    key: str  # of a document's name in an answer
    name: str  # what that name is: "the name of the package, as in the field Package"
    about: str  # what the collection is
    relations: tuple[Relation, ...]
    note: str = ""  # what a question's words mean, where that might be in doubt

    @cached_property
    def by_name(self) -> dict[str, Relation]:
        return {relation.name: relation for relation in self.relations}
