"""The procedural author: an item of work becomes a family of tasks, the same bytes every time.

V3.2 report, 3.2.3: data, tools, a task with solution and verifier, then harder ones; no model.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import speciale
from speciale.synth.general.assign import assign_ladder
from speciale.synth.general.best import best_ladder
from speciale.synth.general.bundle import bundle_ladder
from speciale.synth.general.calendars import CalendarsFacet
from speciale.synth.general.catalogue import CatalogueFacet
from speciale.synth.general.chain import chain_ladder
from speciale.synth.general.domains import DOMAINS
from speciale.synth.general.draft import Draft
from speciale.synth.general.names import Names
from speciale.synth.general.network import NetworkFacet
from speciale.synth.general.reconcile import reconcile_ladder
from speciale.synth.general.records import RecordsFacet
from speciale.synth.general.roster import RosterFacet
from speciale.synth.general.route import route_ladder
from speciale.synth.general.schedule import schedule_ladder
from speciale.synth.general.spec import Domain
from speciale.synth.general.text import articles
from speciale.synth.general.world import World
from speciale.synth.work import Rejected, in_turn
from speciale.tasks.synthesised.family import About, Family, TaskAbout, TaskFiles

Item = dict[str, Any]
CATEGORIES: dict[str, Domain] = {domain.category: domain for domain in DOMAINS}

# The facets a domain may have, how to build each, and the ladders that stand on it.
FACETS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "catalogues": (CatalogueFacet, (best_ladder, bundle_ladder)),
    "records": (RecordsFacet, (chain_ladder, reconcile_ladder)),
    "rosters": (RosterFacet, (assign_ladder,)),
    "calendars": (CalendarsFacet, (schedule_ladder,)),
    "networks": (NetworkFacet, (route_ladder,)),
}
LADDERS, LEVELS = 3, 4  # of a family


def items(categories: Sequence[str], seed: int) -> Iterator[Item]:
    """Work without end, one family of each category in turn."""
    return in_turn("general", categories, seed)


def make(item: Item) -> Family:
    """The family of an item. Rejected where its world gives no task."""
    domain = CATEGORIES[item["category"]]
    rng = random.Random(f"general {item['category']} {item['seed']} {item['index']}")
    world = World(rng, Names(rng))
    drafts = [ladder for ladder in _ladders(domain, world) if ladder]
    if not drafts:
        raise Rejected(f"no question was found for this world of {domain.category}")
    about = f"the records of {domain.about}"
    files = {
        "schema.sql": world.schema().encode(),
        "data.sqlite": world.database(),
        "tools.py": world.toolbox(about).encode(),
    }
    tasks: dict[str, TaskFiles] = {}
    for ladder in drafts:
        easier = None
        for draft in ladder:
            number = f"{len(tasks):03d}"
            tasks[number] = _task(draft, easier)
            easier = number
    tables = ", ".join(table.name for table in world.tables)
    return Family(
        About(
            id=item["key"],
            kind="general",
            category=domain.category,
            seed=item["seed"],
            generator="procedural",
            speciale=speciale.__version__,
            about=f"A world of {domain.about}: {tables}.",
            source=f"made by combining words, index {item['index']}",
        ),
        files,
        tasks,
    )


def _ladders(domain: Domain, world: World) -> Iterator[list[Draft]]:
    """Three ladders over one to three facets; another one where a level is missing."""
    rng = world.rng
    pairs = [
        (kind, spec, ladder)
        for kind, (_, ladders) in FACETS.items()
        for spec in getattr(domain, kind)
        for ladder in ladders
    ]
    rng.shuffle(pairs)
    built: dict[int, Any] = {}
    given, levels = 0, set()
    for kind, spec, ladder in pairs:
        if given >= LADDERS and len(levels) == LEVELS:
            return
        if id(spec) not in built:
            built[id(spec)] = FACETS[kind][0](spec, world)
        drafts = ladder(built[id(spec)], world)
        if drafts:
            given += 1
            levels |= {draft.level for draft in drafts}
            yield drafts


def _task(draft: Draft, easier: str | None) -> TaskFiles:
    about = TaskAbout(
        prompt=articles(draft.prompt),
        level=draft.level,
        answer_schema=draft.schema,
        harder_than=easier,
        pattern=draft.pattern,
        metadata={"changes": draft.writes, **draft.metadata},
    )
    return TaskFiles(
        about, {"solution.py": draft.solution.encode(), "verify.py": draft.verify.encode()}
    )
