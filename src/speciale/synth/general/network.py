"""A facet: timed legs between stops on one day, by operators, with prices and features.

V3.2 report, 3.2.3: data and tools of an environment; legs are booked one by one.
"""

from __future__ import annotations

from speciale.synth.general import network_code as code
from speciale.synth.general.calendars import clock
from speciale.synth.general.catalogue import ident
from speciale.synth.general.spec import Network
from speciale.synth.general.text import article, fill
from speciale.synth.general.world import PAGE_HELPER, Row, Table, World


class NetworkFacet:
    """Built for one world."""

    def __init__(self, spec: Network, world: World) -> None:
        rng = world.rng
        self.spec, self.rng = spec, rng
        self.leg, self.operator = ident(spec.leg), ident(spec.operator)
        self.leg_id = f"{self.leg}_id"
        self.paged = rng.random() < 0.5  # departures come in pages, or all at once
        self.priced = rng.random() < 0.3  # prices come with them, or by batches of ids
        self.operator_get = rng.random() < 0.5
        self._make_rows(world)
        self._make_tables(world)
        self._make_tools(world)

    # -- data ---------------------------------------------------------------------------------

    def _make_rows(self, world: World) -> None:
        spec, rng = self.spec, self.rng
        self.stops = world.names.many(spec.stop_names, rng.randint(7, 8))
        self.operators: dict[str, Row] = {}
        for index in range(rng.randint(4, 5)):
            name = world.names.draw(spec.operator_names)
            flag = index < 2 or rng.random() < spec.operator_flag.share
            self.operators[name] = {"name": name, spec.operator_flag.column: flag}
        # Where the stops lie on a plane decides how long a leg takes.
        places = {stop: (rng.randint(0, 100), rng.randint(0, 100)) for stop in self.stops}
        self.legs: list[Row] = []
        for origin in self.stops:
            for target in rng.sample([s for s in self.stops if s != origin], rng.randint(3, 4)):
                away = sum(abs(a - b) for a, b in zip(places[origin], places[target], strict=True))
                minutes = 15 + away // 2 + rng.randint(0, 15)
                operator = rng.choice(sorted(self.operators))
                first = rng.randint(310, 400)
                for _ in range(rng.randint(3, 4)):
                    first += rng.randint(0, 170)
                    self.legs.append(
                        {
                            "origin": origin,
                            "destination": target,
                            self.operator: operator,
                            "departs": clock(first),
                            "arrives": clock(first + minutes),
                            spec.price.column: rng.randrange(
                                spec.price.low, spec.price.high + 1, spec.price.step
                            ),
                            spec.flag.column: rng.random() < spec.flag.share,
                        }
                    )
                    first += 60
        rng.shuffle(self.legs)
        start = rng.randint(10, 70) * 10
        for index, row in enumerate(self.legs):
            row[self.leg_id] = f"{spec.prefix}{start + 3 * index}"

    def _make_tables(self, world: World) -> None:
        spec = self.spec
        self.booking_id = f"{ident(spec.booking)}_id"
        world.tables += [
            Table(
                spec.operator_table,
                {"name": "TEXT PRIMARY KEY", spec.operator_flag.column: "INTEGER NOT NULL"},
                list(self.operators.values()),
            ),
            Table(
                spec.leg_table,
                {
                    self.leg_id: "TEXT PRIMARY KEY",
                    "origin": "TEXT NOT NULL",
                    "destination": "TEXT NOT NULL",
                    self.operator: f"TEXT NOT NULL REFERENCES {spec.operator_table}",
                    "departs": "TEXT NOT NULL",
                    "arrives": "TEXT NOT NULL",
                    spec.price.column: "INTEGER NOT NULL",
                    spec.flag.column: "INTEGER NOT NULL",
                },
                self.legs,
            ),
            Table(
                spec.booking_table,
                {
                    self.booking_id: "INTEGER PRIMARY KEY",
                    self.leg_id: f"TEXT NOT NULL REFERENCES {spec.leg_table}",
                    spec.traveller: "TEXT NOT NULL",
                },
                [
                    {
                        self.booking_id: index + 1,
                        self.leg_id: self.rng.choice(self.legs)[self.leg_id],
                        spec.traveller: world.names.draw(spec.thing),
                    }
                    for index in range(self.rng.randint(3, 6))
                ],
            ),
        ]

    # -- tools --------------------------------------------------------------------------------

    def names(self) -> dict[str, str | int]:
        spec = self.spec
        columns = [self.leg_id, "origin", "destination", self.operator, "departs", "arrives"]
        if self.priced:
            columns += [spec.price.column, spec.flag.column]
        return dict(
            stop=spec.stop, stops=spec.stops, stop_key=ident(spec.stops), leg=spec.leg,
            legs=spec.legs, leg_ident=self.leg, leg_key=ident(spec.legs), leg_id=self.leg_id,
            leg_table=spec.leg_table, operator=self.operator, operator_noun=spec.operator,
            operators=spec.operators, operator_key=ident(spec.operators),
            operator_table=spec.operator_table, operator_flag=spec.operator_flag.column,
            price=spec.price.column, price_label=spec.price.label, flag=spec.flag.column,
            traveller=spec.traveller, booking=spec.booking, a_booking=article(spec.booking),
            booking_id=self.booking_id, booking_table=spec.booking_table, verb=spec.verb,
            past=spec.past, title=spec.verb.capitalize(), columns=", ".join(columns),
            departures=f"{ident(spec.legs)}_from", get=f"{self.look}_{self.leg}",
            operator_tool=f"{self.look}_{self.operator}" if self.operator_get
            else f"list_{ident(spec.operators)}", book=f"{spec.verb}_{self.leg}",
            bookings=f"list_{spec.booking_table}", fares=f"{self.look}_{self.leg}_fares",
        )  # fmt: skip

    def _make_tools(self, world: World) -> None:
        self.look = self.rng.choice(("get", "show", "look_up"))
        names = self.names()
        flags = (self.spec.flag.column, self.spec.operator_flag.column)
        world.helper(PAGE_HELPER)
        world.helper(code.SHAPE, flags=", ".join(f'"{flag}"' for flag in flags), **names)
        world.tool(code.STOPS, **names)
        world.tool(code.FROM_PAGED if self.paged else code.FROM, **names)
        world.tool(code.GET, **names)
        if not self.priced:
            world.tool(code.FARES, **names)
        world.tool(code.OPERATOR if self.operator_get else code.OPERATORS, **names)
        world.tool(code.BOOK, **names)
        world.tool(code.BOOKED, **names)

    def loader(self) -> str:
        """Functions of a solution: load_from(tools, stop)."""
        names = self.names()
        parts = [code.LOAD_PAGED if self.paged else code.LOAD]
        names["details"] = "" if self.priced else fill(code.LOAD_DETAILS, **names)
        return "\n\n".join(fill(part, **names) for part in parts)

    def operators_loader(self) -> str:
        return fill(
            code.LOAD_OPERATOR if self.operator_get else code.LOAD_OPERATORS, **self.names()
        )
