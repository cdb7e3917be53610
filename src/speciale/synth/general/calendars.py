"""A facet: people with busy times over a few days, and rooms that are booked by the hour.

V3.2 report, 3.2.3: data and tools of an environment. Times are on a grid of half hours.
"""

from __future__ import annotations

import datetime
from random import Random

from speciale.synth.general import calendars_code as code
from speciale.synth.general.catalogue import draw_values, ident
from speciale.synth.general.names import PERSON
from speciale.synth.general.spec import Calendars
from speciale.synth.general.text import article, fill
from speciale.synth.general.world import PAGE_HELPER, Row, Table, World, draw_some, spread

OPENS, CLOSES, STEP = 9 * 60, 17 * 60, 30  # minutes of the day


def clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


class CalendarsFacet:
    """Built for one world."""

    def __init__(self, spec: Calendars, world: World) -> None:
        rng = world.rng
        self.spec, self.rng = spec, rng
        self.person, self.room = ident(spec.person), ident(spec.room)
        self.entry, self.event = ident(spec.entry), ident(spec.event)
        self.person_id = f"{self.person}_id"
        self.daily = rng.random() < 0.5  # calendars are asked for by day
        self.by_name = rng.random() < 0.5  # people are found by name, or listed by role
        first = datetime.date(rng.randint(2024, 2026), rng.randint(1, 12), rng.randint(1, 25))
        self.days = [(first + datetime.timedelta(days=n)).isoformat() for n in range(3)]
        self.roles = draw_values(spec.role, world, 3)
        self.flags = draw_some(rng, spec.flags, 2, 3)
        self._make_rows(world)
        self._make_tables(world)
        self._make_tools(world)

    # -- data ---------------------------------------------------------------------------------

    def _make_rows(self, world: World) -> None:
        spec, rng = self.spec, self.rng
        start = rng.randint(10, 90) * 10
        self.people: list[Row] = [
            {
                self.person_id: start + 3 * index,
                "name": world.names.draw(PERSON),
                spec.role.column: rng.choice(self.roles),
            }
            for index in range(rng.randint(9, 12))
        ]
        self.entries: list[Row] = []
        for person in self.people:
            for day in self.days:
                for begin, end in _busy(rng, rng.randint(2, 4)):
                    self.entries.append(
                        {
                            self.person_id: person[self.person_id],
                            "title": rng.choice(spec.entry_titles),
                            "day": day,
                            "start": clock(begin),
                            "end": clock(end),
                        }
                    )
        for index, row in enumerate(self.entries):
            row[f"{self.entry}_id"] = index + 1
        count = rng.randint(5, 6)
        fees = spread(rng, spec.fee.low, spec.fee.high, spec.fee.step, count)
        self.rooms: list[Row] = [
            {
                "name": world.names.draw(spec.room_names),
                spec.capacity.column: rng.randrange(
                    spec.capacity.low, spec.capacity.high + 1, spec.capacity.step
                ),
                spec.fee.column: fee,
                **{flag.column: rng.random() < flag.share for flag in self.flags},
            }
            for fee in fees
        ]
        self.events: list[Row] = []
        for room in self.rooms:
            for day in self.days:
                for begin, end in _busy(rng, rng.randint(1, 3)):
                    self.events.append(
                        {
                            "title": rng.choice(spec.titles),
                            "day": day,
                            "start": clock(begin),
                            "end": clock(end),
                            self.room: room["name"],
                        }
                    )
        for index, row in enumerate(self.events):
            row[f"{self.event}_id"] = index + 1

    def _make_tables(self, world: World) -> None:
        spec = self.spec
        times = {"day": "TEXT NOT NULL", "start": "TEXT NOT NULL", "end": "TEXT NOT NULL"}
        self.guests = f"{self.event}_{ident(spec.people)}"
        world.tables += [
            Table(
                spec.people_table,
                {
                    self.person_id: "INTEGER PRIMARY KEY",
                    "name": "TEXT NOT NULL UNIQUE",
                    spec.role.column: "TEXT NOT NULL",
                },
                self.people,
            ),
            Table(
                spec.entry_table,
                {
                    f"{self.entry}_id": "INTEGER PRIMARY KEY",
                    self.person_id: f"INTEGER NOT NULL REFERENCES {spec.people_table}",
                    "title": "TEXT NOT NULL",
                    **times,
                },
                self.entries,
            ),
            Table(
                spec.room_table,
                {
                    "name": "TEXT PRIMARY KEY",
                    spec.capacity.column: "INTEGER NOT NULL",
                    spec.fee.column: "INTEGER NOT NULL",
                    **{flag.column: "INTEGER NOT NULL" for flag in self.flags},
                },
                self.rooms,
            ),
            Table(
                spec.event_table,
                {
                    f"{self.event}_id": "INTEGER PRIMARY KEY",
                    "title": "TEXT NOT NULL",
                    **times,
                    self.room: f"TEXT NOT NULL REFERENCES {spec.room_table}",
                },
                self.events,
            ),
            Table(
                self.guests,
                {
                    f"{self.event}_id": f"INTEGER NOT NULL REFERENCES {spec.event_table}",
                    self.person_id: f"INTEGER NOT NULL REFERENCES {spec.people_table}",
                },
            ),
        ]

    # -- tools --------------------------------------------------------------------------------

    def names(self) -> dict[str, str | int]:
        spec = self.spec
        flags = ", ".join(f'"{flag.column}"' for flag in self.flags)
        return dict(
            person=spec.person, people=spec.people, person_id=self.person_id,
            people_table=spec.people_table, people_key=ident(spec.people), role=spec.role.column,
            role_noun=spec.role.noun, entry=spec.entry, entry_table=spec.entry_table,
            entry_key=ident(spec.entry_table), room=spec.room, rooms=spec.rooms,
            room_ident=self.room, room_key=ident(spec.rooms), room_table=spec.room_table,
            capacity=spec.capacity.column, fee=spec.fee.column, event=spec.event,
            a_event=article(spec.event), events=spec.events, event_ident=self.event,
            event_id=f"{self.event}_id", event_table=spec.event_table, guests=self.guests,
            title=spec.verb.capitalize(), flags=flags, find_tool=f"find_{self.person}",
            list_tool=f"list_{ident(spec.people)}", busy_tool=f"{self.person}_calendar",
            rooms_tool=f"list_{ident(spec.rooms)}", room_tool=f"{self.room}_calendar",
            schedule=f"{spec.verb}_{self.event}", opens=clock(OPENS), closes=clock(CLOSES),
            role_key=ident(spec.role.plural), role_plural=spec.role.plural,
        )  # fmt: skip

    def _make_tools(self, world: World) -> None:
        names = self.names()
        world.helper(PAGE_HELPER)
        world.tool(code.FIND if self.by_name else code.LIST, **names)
        world.tool(code.ROLES, **names)
        world.tool(code.BUSY_DAILY if self.daily else code.BUSY, **names)
        world.tool(code.ROOMS, **names)
        world.tool(code.ROOM_DAILY if self.daily else code.ROOM, **names)
        world.helper(code.CLASH)
        world.tool(code.SCHEDULE, **names)

    def loader(self) -> str:
        """Functions of a solution: load_people(tools, people), load_busy(tools, key, days) and
        load_rooms(tools, days)."""
        names = self.names()
        parts = [
            code.LOAD_BY_NAME if self.by_name else code.LOAD_BY_ROLE,
            code.LOAD_BUSY_DAILY if self.daily else code.LOAD_BUSY,
            code.LOAD_ROOMS_DAILY if self.daily else code.LOAD_ROOMS,
        ]
        return "\n\n".join(fill(part, **names) for part in parts)

    # -- questions ----------------------------------------------------------------------------

    def free(self, rows: list[Row], day: str, start: str, end: str) -> bool:
        return not any(
            row["day"] == day and row["start"] < end and start < row["end"] for row in rows
        )

    def busy(self, person: Row) -> list[Row]:
        return [row for row in self.entries if row[self.person_id] == person[self.person_id]]

    def booked(self, room: Row) -> list[Row]:
        return [row for row in self.events if row[self.room] == room["name"]]


def _busy(rng: Random, count: int) -> list[tuple[int, int]]:
    """Up to `count` stretches of the day that do not overlap."""
    found: list[tuple[int, int]] = []
    for _ in range(count):
        begin = rng.randrange(OPENS, CLOSES - 30, STEP)
        end = min(CLOSES, begin + rng.choice((30, 60, 60, 90, 120, 150)))
        if all(end <= one or other <= begin for one, other in found):
            found.append((begin, end))
    return sorted(found)
