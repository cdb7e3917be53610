"""`search(query)` and `open(id)` over any folder of documents, which are only ever read.

The index (search_index.py) stands in the cache, is made when the tools are opened, and takes in
what changes in the folder while they are used.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from pydantic import Field

from speciale.agents.tools.functions import Functions, ToolError
from speciale.agents.tools.search_index import Hit, SearchIndex, index_of
from speciale.errors import ConfigError
from speciale.tasks.environment import Environment


@asynccontextmanager
async def search_tools(folder: str | Path) -> AsyncIterator[Environment]:
    """The two tools over a folder. ConfigError where it cannot be read."""
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise ConfigError(f"there is no folder {folder}: name one that holds documents")
    index = index_of(root.resolve())
    try:
        await _refresh(index)
    except OSError as error:
        raise ConfigError(f"the folder {folder} cannot be read ({error.strerror})") from error

    async def search(query: str, top: Annotated[int, Field(ge=1, le=50)] = 10) -> str:
        """Search a collection of documents for words; the best come first.

        Returns ids, titles and the piece of text that fits best. Give the words that the document
        would use; words in "double quotes" count more where they stand in a row.

        Args:
            query: Words to look for.
            top: How many documents at most.
        """
        try:
            await _refresh(index)
        except OSError as error:
            raise ToolError(f"the documents cannot be read any more ({error.strerror})") from error
        hits = await asyncio.to_thread(index.search, query, top)
        if not hits:
            return f"No document has any of these words; there are {index.documents:,} documents."
        return "\n".join(map(_shown, hits, range(1, len(hits) + 1)))

    async def open(id: str, page: Annotated[int, Field(ge=1, le=1_000_000)] = 1) -> str:
        """Read a page of a document that search has found.

        Args:
            id: The id that search gave.
            page: Which page; search says where the words stand.
        """
        found = await asyncio.to_thread(index.page, id, page)
        if found is None and page > 1:
            first = await asyncio.to_thread(index.page, id, 1)
            if first is not None:
                raise ToolError(f"{id} has {first[2]} pages: there is no page {page}")
        if found is None:
            raise ToolError(f"there is no document {id!r}: give an id as search gives it")
        title, text, pages = found
        more = f"; go on with page={page + 1}" if page < pages else ""
        return f"[{id}, page {page} of {pages}{more}]\n{title}\n\n{text}"

    tools = Functions([search, open])
    skipped = ", ".join(f"{number:,} {kind}" for kind, number in sorted(index.left_out.items()))
    about = f"{index.documents:,} documents"
    tools.describe(
        "search", f"There are {about}; left out: {skipped}." if skipped else f"There are {about}."
    )
    yield tools


async def _refresh(index: SearchIndex) -> None:
    """In a thread, which a cancelled call does not leave at work for long."""
    stop = threading.Event()
    try:
        await asyncio.to_thread(index.refresh, stop)
    except asyncio.CancelledError:
        stop.set()
        raise


def _shown(hit: Hit, number: int) -> str:
    lines = [f"{number}. {hit.id} (page {hit.page} of {hit.pages}): {hit.title}"]
    lines.append(f"   {hit.snippet}")
    if hit.also:
        more = hit.same - len(hit.also)
        others = [*hit.also, f"{more} more"] if more else hit.also
        lines.append(f"   The same text: {', '.join(others)}")
    return "\n".join(lines)
