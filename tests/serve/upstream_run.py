"""One request through ChatUpstream to a scripted server, and what came of it."""

import asyncio

from upstream_servers import chat_job, serving

from speciale.chat import join
from speciale.serve.backends.chat_upstream import ChatUpstream
from speciale.serve.backends.connection import Timeouts

KEY = "sk-the-operators-key"
IMPATIENT = Timeouts(first=0.3, health=0.3)  # for what never comes


async def pieces_of(script, job=None, **options):
    """All pieces of one request to a server of this script, and the server."""
    async with serving(script) as [server]:
        upstream = ChatUpstream(server.url, KEY, model="theirs", **options)
        try:
            return [piece async for piece in upstream.run(job or chat_job())], server
        finally:
            await upstream.close()


def run(script, job=None, **options):
    return asyncio.run(pieces_of(script, job, **options))


def message(pieces, choice=0):
    return join(event for piece in pieces if piece.choice == choice for event in piece.events)


def finishes(pieces):
    return [(piece.choice, piece.finish) for piece in pieces if piece.finish]
