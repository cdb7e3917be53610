"""One set of tools over one session of a real sandbox, for tests."""

import asyncio
from contextlib import asynccontextmanager

from speciale.sandbox import Limits, Sandbox


@asynccontextmanager
async def opened(maker, **limits):
    """The Environment of `maker`, one of python_tools, bash_tools and files_tools."""
    bounds = Limits(**limits)
    async with (
        Sandbox(bounds) as sandbox,
        sandbox.session() as session,
        maker(session, bounds) as environment,
    ):
        yield environment


def answers(maker, *calls, **limits):
    """The results of calls, each a name and arguments, made one after the other."""

    async def run():
        async with opened(maker, **limits) as environment:
            return [await environment.call(name, arguments) for name, arguments in calls]

    return asyncio.run(run())
