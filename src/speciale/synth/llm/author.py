"""The author with a model: an item becomes a family by the four steps of the report, in a sandbox.

V3.2 report, 3.2.3 (climb.py has the steps). Each item has a sandbox, a budget and an account of its
own. A model is no pure function: the same item gives another family another time.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args
from urllib.parse import urlsplit

import httpx

from speciale.agents.chat_server import Flavour
from speciale.errors import ConfigError
from speciale.sandbox import Sandbox
from speciale.synth.llm.climb import Climb
from speciale.synth.llm.making import MAKING, making, with_figures
from speciale.synth.llm.meter import Allowance, Ledger, MeteredChat
from speciale.synth.llm.workshop import open_workshop
from speciale.synth.work import Item, Rejected
from speciale.tasks.synthesised.family import Family

LEVELS = 3
_CATEGORY = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")


def items(
    url: str,
    model: str,
    categories: Sequence[str],
    seed: int,
    *,
    flavour: str = "openai",
    api_key_env: str | None = None,
    levels: int = LEVELS,
    budget: Mapping[str, Any] | None = None,
    search: str | None = None,
) -> Iterator[Item]:
    """Work without end, one family of each category in turn.

    url: up to and with /v1. api_key_env: the environment variable that holds the key, read where an
    item is made. budget: of an item, as meter.Allowance has it. search: a folder of texts that the
    model may search. ConfigError at once for what cannot be.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"the model's address is {url!r}: give it up to /v1, with http or https")
    if "@" in parts.netloc or parts.query:
        raise ConfigError(
            "the model's address holds credentials or a query, and addresses are stored: give the "
            "key in an environment variable and name that one"
        )
    if not model.strip():
        raise ConfigError("no model is named: give the name that the server knows it by")
    if flavour not in get_args(Flavour):
        raise ConfigError(f"there is no flavour {flavour!r}: give {', '.join(get_args(Flavour))}")
    for category in categories:
        if not _CATEGORY.fullmatch(category):
            raise ConfigError(f"a category is {category!r}: give small letters, digits, - and _")
    if not categories:
        raise ConfigError("no category is named: give at least one, such as travel")
    if levels < 1:
        raise ConfigError(f"the number of levels is {levels}: give 1 or more")
    if search is not None and not os.path.isdir(search):
        raise ConfigError(f"there is no folder {search} to search: name one that holds texts")
    _key(api_key_env)
    allowance = Allowance.of(budget or {})
    return _items(
        {
            "author": "llm", "url": url, "model": model, "api_key_env": api_key_env,
            "flavour": flavour, "seed": seed, "levels": levels,
            "budget": allowance.model_dump(), "search": search,
        },
        list(categories),
    )  # fmt: skip


def check_server(url: str, api_key_env: str | None = None) -> None:
    """Asks the server for its models, so that a run does not use up items on one that is not there.
    ConfigError where it does not answer or refuses the key; a server without such a list will do.
    """
    key = _key(api_key_env)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        status = httpx.get(f"{url.rstrip('/')}/models", headers=headers, timeout=20).status_code
    except httpx.HTTPError as error:
        raise ConfigError(
            f"{url} does not answer ({error or type(error).__name__}): check the address up to "
            "/v1, and that the server runs"
        ) from None
    if status in (401, 403):
        named = f"the key in {api_key_env}" if api_key_env else "a request without a key"
        raise ConfigError(f"{url} refuses {named} (status {status}): name the variable of a key")


def _items(base: Item, categories: list[str]) -> Iterator[Item]:
    for index in itertools.count():
        category = categories[index % len(categories)]
        key = f"{category}-llm-{base['seed']}-{index:06d}"
        yield {**base, "key": key, "category": category, "index": index}


def make(item: Item) -> Family:
    """The family that a model makes of an item, with a refused candidate where one ended the climb.
    Rejected where nothing was made that gates could judge; SandboxError where there is no sandbox;
    ConfigError where the key's variable is not set."""
    return asyncio.run(_make(item))


async def _make(item: Item) -> Family:
    key = _key(item.get("api_key_env"))
    ledger = Ledger(Allowance.of(item["budget"]))
    chat = MeteredChat(item["url"], item["model"], ledger, api_key=key, flavour=item["flavour"])
    async with Sandbox() as sandbox, chat:
        call_s = ledger.allowance.call_seconds
        async with open_workshop(sandbox, call_s, item.get("search")) as workshop:
            climb = Climb(item, ledger, chat, workshop, sandbox, key)
            try:
                family = await climb.family()
            except Rejected as refusal:
                account = making(ledger, item["url"], item["model"], climb.ended)
                raise Rejected(with_figures(str(refusal), account)) from None
    account = making(ledger, item["url"], item["model"], climb.ended)
    files = {**family.files, MAKING: (account.model_dump_json(indent=1) + "\n").encode()}
    return Family(family.about, files, family.tasks)


def _key(variable: str | None) -> str | None:
    if variable is None:
        return None
    if not (key := os.environ.get(variable)):
        raise ConfigError(f"the environment variable {variable} is not set: put the key into it")
    return key
