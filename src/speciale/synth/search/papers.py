"""Any folder of texts: what copyright notes, changelogs, readmes and Markdown pages say as facts.

Dates, versions, persons, licences, bugs and addresses are read by their form alone.
"""

from __future__ import annotations

from typing import Any

from speciale.synth.search.relations import Relation, Vocabulary

_YEARS = r"\d{4}(?:[ \t]*[-,–][ \t]*\d{2,4})*"
_HOLDER = (
    rf"^(?:Copyright:)?[ \t]*(?:Copyright[ \t]+)?(?:©|\([cC]\))?[ \t]*{_YEARS},?[ \t]+"
    r"(?:by[ \t]+)?([A-Z][^\n<,(]{2,50}?)[ \t.]*(?:[<,(][^\n]*)?$"
)


def _fact(
    name: str, pattern: str, says: tuple[str, ...], *, denies: tuple[str, ...] = (), **more: Any
) -> Relation:
    return Relation(name=name, pattern=pattern, says=says, denies=denies, **more)


VOCABULARY = Vocabulary(
    kind="doc",
    noun="document",
    nouns="documents",
    key="document",
    name="the document's title",
    about="a folder of documents: notes on copyright, changelogs, readmes and the like",
    relations=(
        _fact(
            "folder",
            r"\A([^\n]+)/[^/\n]+$",
            (),
            place="title",
            asks="the folder in its title (what stands before the last slash)",
            shared="lies in the same folder (the title up to its last slash) as {e}",
            kin=True,
        ),
        _fact(
            "file",
            r"\A(?:[^\n]*/)?([^/\n]+)$",
            ("has the file name {v}", "is a file called {v}"),
            place="title",
            denies=("is not called {v}", "has another file name than {v}"),
        ),
        _fact(
            "upstream_name",
            r"^Upstream-Name:[ \t]*(\S[^\n]*)$",
            ("gives {v} as the upstream name",),
            label="Upstream-Name:",
            first=True,
            asks="the upstream name that it gives (field Upstream-Name)",
            shared="gives the same upstream name as {e}",
            rare=True,
        ),
        _fact(
            "upstream_contact",
            r"^Upstream-Contact:[ \t]*([^<\n]*[^<\s])",
            ("names {v} as upstream contact", "has {v} as the upstream contact"),
            label="Upstream-Contact:",
            first=True,
            asks="the upstream contact that it names (without the address)",
            shared="names the same upstream contact as {e}",
            rare=True,
        ),
        _fact(
            "source_host",
            r"^Source:[ \t]*<?(?:https?|ftp)://(?:www\.)?([^/\s>:]+)",
            ("gives a source on {v}", "says that the sources are at {v}"),
            label="Source:",
            denies=("gives no source on {v}",),
            shared="gives a source on the same host as {e}",
        ),
        _fact(
            "licence",
            r"^License:[ \t]*(\S[^\n]*)$",
            ("has a License field {v}", "puts something under the licence {v}"),
            denies=("has no License field {v}",),
            label="License:",
        ),
        _fact(
            "holder",
            _HOLDER,
            ("names {v} as a holder of copyright", "lists copyright of {v}"),
            denies=("names no copyright of {v}",),
            shared="shares a holder of copyright with {e}",
            rare=True,
        ),
        _fact(
            "signer",
            r"^ -- (.+?) <",
            ("has a changelog entry signed by {v}", "was signed at least once by {v}"),
            denies=("has no entry signed by {v}",),
            label=" --",
        ),
        _fact(
            "last_signer",
            r"^ -- (.+?) <",
            (),
            first=True,
            label=" --",
            asks="the name that signs its topmost entry",
            shared="has a topmost entry signed by the same person as that of {e}",
            rare=True,
        ),
        _fact(
            "top_version",
            r"\A[^\n]*\n+\S+ \(([^)\n]+)\) [^\n;]*; urgency",
            (),
            first=True,
            asks="the version in the head line of its topmost entry",
        ),
        _fact(
            "top_date",
            r"^ -- .+?> +(?:\w{3}, +)?(\d{1,2} \w{3} \d{4})",
            (),
            first=True,
            label=" --",
            asks="the date that its topmost entry is signed with (day month year, as it stands)",
        ),
        _fact(
            "entries",
            r"^ -- .+?> +([^\n]+)$",
            (),
            label=" --",
            counts=True,
            number=True,
            above="has more than {v} signed entries (lines that begin with ' -- ')",
            below="has fewer than {v} signed entries (lines that begin with ' -- ')",
            most="the most signed entries (lines that begin with ' -- ')",
            least="the fewest signed entries (lines that begin with ' -- ')",
            total="the sum of their numbers of signed entries (lines that begin with ' -- ')",
            asks="the number of its signed entries (lines that begin with ' -- ')",
        ),
        _fact(
            "licences",
            r"^License:[ \t]*(\S[^\n]*)$",
            (),
            label="License:",
            counts=True,
            number=True,
            above="has more than {v} different texts in its License fields",
            below="has fewer than {v} different texts in its License fields",
            most="the most different texts in its License fields",
            least="the fewest different texts in its License fields",
            total="the sum of their numbers of different texts in License fields",
            asks="the number of different texts in its License fields",
        ),
        _fact(
            "urgency",
            r"; *urgency=(\w+)",
            ("has an entry of urgency {v}",),
            label="urgency=",
            denies=("has no entry of urgency {v}",),
        ),
        _fact(
            "bug",
            r"#(\d{5,7})\b",
            ("mentions bug #{v}", "speaks of bug number {v}"),
            denies=("does not mention bug #{v}",),
            rare=True,
        ),
        _fact(
            "cve",
            r"(CVE-\d{4}-\d{4,})",
            ("mentions {v}", "deals with {v}"),
            denies=("does not mention {v}",),
            rare=True,
        ),
        _fact(
            "heading",
            r"^#{1,3}[ \t]+(?!Older entries|To read the)([A-Z][^\n]*?)[ \t#]*$",
            ('has the heading "{v}"',),
            denies=('has no heading "{v}"',),
            shared="has a heading that {e} has too",
        ),
        _fact(
            "first_heading",
            r"^#{1,3}[ \t]+(?!Older entries|To read the)([A-Z][^\n]*?)[ \t#]*$",
            (),
            first=True,
            asks="its first heading (without the # signs)",
        ),
        _fact(
            "first_line",
            r"\A[^\n]*\n(?:[^\w\n]*\n)*([^\n]*\w[^\n]{4,140})$",
            (),
            first=True,
            asks="its first line that has a letter or digit, in full",
        ),
        _fact(
            "term",
            r"\b([A-Z][a-z]+(?:[A-Z][a-z0-9]+)+|[a-z]{2,}(?:_[a-z0-9]+)+"
            r"|[A-Z][a-z]{3,}(?: [A-Z][a-z]{3,})+)\b",
            ('contains "{v}"', 'speaks of "{v}"', 'has the words "{v}"'),
            denies=('does not contain "{v}"', 'nowhere has "{v}"'),
        ),
        _fact(
            "year",
            r"\b(19[5-9]\d|20[0-4]\d)\b",
            ("mentions the year {v}",),
            denies=("does not mention the year {v}",),
        ),
        _fact(
            "release",
            r"\b[Vv]ersion (\d+(?:\.\d+)+)\b",
            ("speaks of version {v}",),
            denies=("does not speak of version {v}",),
            label="ersion ",
        ),
        _fact(
            "host",
            r"(?:https?|ftp)://(?:www\.)?([a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,})\b",
            ("has an address on {v}", "points to the host {v}"),
            denies=("has no address on {v}",),
            shared="has an address on a host that {e} points to as well",
        ),
        _fact(
            "mail_host",
            r"<[\w.+-]+@([\w-]+(?:\.[\w-]+)+)>",
            ("has a mail address at {v}", "shows somebody's address at {v}"),
            denies=("shows no mail address at {v}",),
            shared="shows a mail address at the same domain as {e}",
        ),
        _fact(
            "mentions",
            r"(?<![\w./:-])(?:\./)?([\w.-]+(?:/[\w.-]+)*\.(?:md|rst|txt|html?|tex|org))(?![\w/])",
            ("names the file {v}",),
            denies=("does not name the file {v}",),
            among="the documents whose title stands in the text of {e}",
        ),
    ),
)
