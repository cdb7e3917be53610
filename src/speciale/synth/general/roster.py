"""A facet: requests that wait, resources with skills and rates, and their free slots.

V3.2 report, 3.2.3: data and tools of an environment; bookings are checked as they are written.
"""

from __future__ import annotations

import datetime

from speciale.synth.general import roster_code as code
from speciale.synth.general.catalogue import draw_values, ident
from speciale.synth.general.spec import Roster
from speciale.synth.general.text import article, fill
from speciale.synth.general.world import PAGE_HELPER, Row, Table, World

PARTS = ("morning", "afternoon", "evening")


class RosterFacet:
    """Built for one world."""

    def __init__(self, spec: Roster, world: World) -> None:
        rng = world.rng
        self.spec, self.rng = spec, rng
        self.resource, self.request = ident(spec.resource), ident(spec.request)
        self.resource_id, self.request_id = f"{self.resource}_id", f"{self.request}_id"
        self.details = rng.random() < 0.5  # requests are listed without details
        self.daily = rng.random() < 0.4  # free slots are asked for by day
        self.rated = rng.random() < 0.5  # rates come with the list, not apart
        self.size = rng.choice((4, 5, 6))
        self.skills = draw_values(spec.skill, world, 3)
        first = datetime.date(rng.randint(2024, 2026), rng.randint(1, 12), rng.randint(1, 25))
        self.days = [(first + datetime.timedelta(days=n)).isoformat() for n in range(3)]
        self._make_rows(world)
        self._make_tables(world)
        self._make_tools(world)

    # -- data ---------------------------------------------------------------------------------

    def _make_rows(self, world: World) -> None:
        spec, rng = self.spec, self.rng
        capacity = range(spec.capacity.low, spec.capacity.high + 1, spec.capacity.step)
        self.resources: list[Row] = []
        for skill in self.skills:
            for _ in range(rng.randint(4, 5)):
                self.resources.append(
                    {
                        "name": world.names.draw(spec.resource_names),
                        spec.skill.column: skill,
                        spec.rate.column: rng.randrange(
                            spec.rate.low, spec.rate.high + 1, spec.rate.step
                        ),
                        spec.capacity.column: rng.choice(capacity[len(capacity) // 3 :]),
                    }
                )
        rng.shuffle(self.resources)
        letter, start = self.resource[0].upper(), rng.randint(1, 8) * 100
        for index, row in enumerate(self.resources):
            row[self.resource_id] = f"{letter}{start + 11 * index}"
        self.slots: list[Row] = []
        for row in self.resources:
            places = [(day, part) for day in self.days for part in PARTS]
            for day, part in sorted(rng.sample(places, rng.randint(3, 5))):
                self.slots.append(
                    {
                        self.resource_id: row[self.resource_id],
                        "day": day,
                        "part": part,
                        spec.surcharge.column: rng.randrange(
                            spec.surcharge.low, spec.surcharge.high + 1, spec.surcharge.step
                        ),
                        "taken": int(rng.random() < 0.15),
                    }
                )
        first = rng.randint(20, 70) * 100
        for index, row in enumerate(self.slots):
            row["slot_id"] = first + 3 * index
        self.requests: list[Row] = []
        for skill in self.skills:
            for hours in rng.sample((1, 2, 3, 4), rng.randint(3, 4)):
                ends = sorted(rng.sample(range(3), 2)) if rng.random() < 0.5 else [0, 2]
                self.requests.append(
                    {
                        "name": world.names.draw(spec.request_names),
                        spec.skill.column: skill,
                        spec.need: rng.choice(capacity[: 2 * len(capacity) // 3]),
                        "hours": hours,
                        "earliest_day": self.days[ends[0]],
                        "latest_day": self.days[ends[1]],
                    }
                )
        rng.shuffle(self.requests)
        number = rng.randint(200, 900)
        for index, row in enumerate(self.requests):
            row[self.request_id] = f"Q{number + 4 * index}"

    def _make_tables(self, world: World) -> None:
        spec = self.spec
        taken = [row for row in self.slots if row["taken"]]
        world.tables += [
            Table(
                spec.resource_table,
                {
                    self.resource_id: "TEXT PRIMARY KEY",
                    "name": "TEXT NOT NULL UNIQUE",
                    spec.skill.column: "TEXT NOT NULL",
                    spec.rate.column: "INTEGER NOT NULL",
                    spec.capacity.column: "INTEGER NOT NULL",
                },
                self.resources,
            ),
            Table(
                f"{self.resource}_slots",
                {
                    "slot_id": "INTEGER PRIMARY KEY",
                    self.resource_id: f"TEXT NOT NULL REFERENCES {spec.resource_table}",
                    "day": "TEXT NOT NULL",
                    "part": "TEXT NOT NULL",
                    spec.surcharge.column: "INTEGER NOT NULL",
                    "taken": "INTEGER NOT NULL",
                },
                self.slots,
            ),
            Table(
                spec.request_table,
                {
                    self.request_id: "TEXT PRIMARY KEY",
                    "name": "TEXT NOT NULL UNIQUE",
                    spec.skill.column: "TEXT NOT NULL",
                    spec.need: "INTEGER NOT NULL",
                    "hours": "INTEGER NOT NULL",
                    "earliest_day": "TEXT NOT NULL",
                    "latest_day": "TEXT NOT NULL",
                },
                self.requests,
            ),
            Table(
                spec.booking_table,
                {
                    f"{ident(spec.booking)}_id": "INTEGER PRIMARY KEY",
                    "slot_id": f"INTEGER NOT NULL UNIQUE REFERENCES {self.resource}_slots",
                    self.request_id: "TEXT NOT NULL",
                },
                [
                    {
                        f"{ident(spec.booking)}_id": index + 1,
                        "slot_id": row["slot_id"],
                        self.request_id: f"Q{100 + index}",
                    }
                    for index, row in enumerate(taken)
                ],
            ),
        ]

    # -- tools --------------------------------------------------------------------------------

    def names(self) -> dict[str, str | int]:
        spec = self.spec
        look = self.look
        return dict(
            resource=spec.resource, resources=spec.resources, resource_key=ident(spec.resources),
            resource_id=self.resource_id, resource_table=spec.resource_table,
            resource_ident=self.resource, skill=spec.skill.column, skill_noun=spec.skill.noun,
            skill_key=ident(spec.skill.plural), skill_plural=spec.skill.plural,
            rate=spec.rate.column, rate_label=spec.rate.label, capacity=spec.capacity.column,
            capacity_label=spec.capacity.label, request=spec.request, requests=spec.requests,
            request_key=ident(spec.requests), request_id=self.request_id,
            request_table=spec.request_table, request_ident=self.request, need=spec.need,
            need_label=spec.need_label, surcharge=spec.surcharge.column,
            surcharge_label=spec.surcharge.label, booking=spec.booking,
            a_booking=article(spec.booking), booking_id=f"{ident(spec.booking)}_id",
            booking_table=spec.booking_table, verb=spec.verb, past=spec.past, size=self.size,
            title=spec.verb.capitalize(), request_tool=f"list_{ident(spec.requests)}",
            request_get=f"{look}_{self.request}", resource_tool=f"find_{ident(spec.resources)}",
            resource_get=f"{look}_{self.resource}", slot_tool=f"{self.free}_slots",
            slot_table=f"{self.resource}_slots", book=f"{spec.verb}_{self.request}",
            short=f"{self.resource_id}, name" + ("" if not self.rated else
                                                 f", {spec.rate.column}, {spec.capacity.column}"),
        )  # fmt: skip

    def _make_tools(self, world: World) -> None:
        self.look = self.rng.choice(("get", "show"))
        self.free = f"{self.rng.choice(('free', 'open', 'available'))}_{self.resource}"
        names = self.names()
        world.helper(PAGE_HELPER)
        world.tool(code.REQUESTS_SHORT if self.details else code.REQUESTS, **names)
        world.tool(code.REQUEST, **names)
        world.tool(code.SKILLS, **names)
        world.tool(code.RESOURCES, **names)
        world.tool(code.RESOURCE, **names)
        world.tool(code.SLOTS_DAILY if self.daily else code.SLOTS, **names)
        world.tool(code.BOOK, **names)

    def loader(self) -> str:
        """Functions of a solution: load_requests(tools, names) and load_offers(tools, skills)."""
        names = self.names()
        names["days"] = ", ".join(f'"{day}"' for day in self.days)
        names["rates"] = fill(code.HAVE_RATES if self.rated else code.GET_RATES, **names)
        names["slots"] = fill(code.GET_SLOTS_DAILY if self.daily else code.GET_SLOTS, **names)
        names["one"] = fill(code.GET_REQUEST if self.details else code.HAVE_REQUEST, **names)
        return fill(code.LOAD_REQUESTS, **names) + "\n\n" + fill(code.LOAD_OFFERS, **names)

    # -- questions ----------------------------------------------------------------------------

    def offers(self, request: Row) -> list[tuple[Row, Row]]:
        """(slot, resource) that could take the request, by itself."""
        spec = self.spec
        found = []
        by_id = {row[self.resource_id]: row for row in self.resources}
        for slot in self.slots:
            resource = by_id[slot[self.resource_id]]
            if (
                not slot["taken"]
                and resource[spec.skill.column] == request[spec.skill.column]
                and resource[spec.capacity.column] >= request[spec.need]
                and request["earliest_day"] <= slot["day"] <= request["latest_day"]
            ):
                found.append((slot, resource))
        return found
