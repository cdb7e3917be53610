"""The steps of a search as code: answerers import them, and solution.py has those that it needs.

`tools` has the functions of tools_file.py, called by keywords; a field is (pattern, pattern between
values, pattern of what is taken out, only the first match, the number of values is the value).
"""

from __future__ import annotations

import re


def results(tools, query, titles_only=False):
    """Every result of a search."""
    found, page = [], 1
    while True:
        given = tools.search(query=query, page=page, titles_only=titles_only)
        found += given["results"]
        if not given["more"]:
            return found
        page += 1


def read(tools, document_id):
    """A document's title and, below it, its whole text."""
    first = tools.open_document(document_id=document_id)
    pages = [first["text"]]
    for page in range(2, first["pages"] + 1):
        pages.append(tools.open_document(document_id=document_id, page=page)["text"])
    return first["title"] + "\n" + "".join(pages)


def candidates(tools, query, titles_only=False):
    """Every document that a search finds, read: by title."""
    found = results(tools, query, titles_only)
    return {each["title"]: read(tools, each["id"]) for each in found}


def named(tools, titles):
    """The documents of these titles, read; those that are not in the collection are left out."""
    found = {}
    for title in titles:
        for each in tools.search(query='"' + title + '"', titles_only=True)["results"][:1]:
            if each["title"] == title:
                found[title] = read(tools, each["id"])
    return found


def values(field, document):
    """The values of a field in a document, each once."""
    pattern, between, out, first, counts = field
    found = {}
    for match in re.finditer(pattern, document, re.MULTILINE):
        for part in re.split(between, match[1]) if between else [match[1]]:
            value = re.sub(out, "", part).strip() if out else part.strip()
            if value:
                found[value] = None
        if first:
            break
    return [str(len(found))] if counts and found else list(found)


def number(field, document):
    """The value of a field that is a number; None where there is none."""
    found = values(field, document)
    return int(found[0]) if len(found) == 1 else None


def only(found):
    """The one title that is left."""
    if len(found) != 1:
        raise ValueError("These should be one document: " + ", ".join(sorted(found)[:5]))
    return next(iter(found))


def edge(field, found, most):
    """The documents with the most (or least) of a number."""
    sizes = {title: number(field, document) for title, document in found.items()}
    known = [size for size in sizes.values() if size is not None]
    best = max(known) if most else min(known)
    return {title: document for title, document in found.items() if sizes[title] == best}
