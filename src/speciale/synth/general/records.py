"""A facet: parties with dated records, and kinds of records with rates; statuses that change.

V3.2 report, 3.2.3: data and tools of an environment. Records come by party or by place, drawn.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from random import Random

from speciale.synth.general import records_code as code
from speciale.synth.general.catalogue import Condition, draw_values, ident
from speciale.synth.general.spec import Records
from speciale.synth.general.text import article, fill, say
from speciale.synth.general.world import PAGE_HELPER, Row, Table, World


@dataclass(frozen=True)
class Found:
    """A record with its party and its kind."""

    record: Row
    party: Row
    kind: Row


class RecordsFacet:
    """Built for one world."""

    def __init__(self, spec: Records, world: World) -> None:
        rng = world.rng
        self.spec, self.rng = spec, rng
        self.party, self.record, self.kind = map(ident, (spec.party, spec.record, spec.kind))
        self.party_id, self.record_id = f"{self.party}_id", f"{self.record}_id"
        self.by_place = rng.random() < 0.4
        self.kind_get = rng.random() < 0.5
        self.size = rng.choice((4, 5, 6))
        self.today = datetime.date(rng.randint(2023, 2026), rng.randint(2, 12), rng.randint(1, 28))
        self.places = draw_values(spec.place, world, 5)
        self.tiers = draw_values(spec.tier, world, 3)
        self._make_rows(world)
        self._make_tables(world)
        self._make_tools(world)

    # -- data ---------------------------------------------------------------------------------

    def _make_rows(self, world: World) -> None:
        spec, rng = self.spec, self.rng
        names = sorted(rng.sample(spec.kind_names, min(5, len(spec.kind_names))))
        self.kinds: dict[str, Row] = {}
        for name in names:
            row = {"name": name, spec.rate.column: _number(rng, spec.rate)}
            if spec.days:
                row[spec.days.column] = _number(rng, spec.days)
            self.kinds[name] = row
        start = rng.randint(20, 80) * 10
        self.parties: list[Row] = []
        for place in self.places:
            for _ in range(rng.randint(4, 6)):
                joined = self.today - datetime.timedelta(days=rng.randint(200, 3000))
                self.parties.append(
                    {
                        "name": world.names.draw(spec.party_names),
                        spec.place.column: place,
                        spec.tier.column: rng.choice(self.tiers),
                        "since": joined.isoformat(),
                    }
                )
        rng.shuffle(self.parties)
        for index, row in enumerate(self.parties):
            row[self.party_id] = start + 7 * index
        self.records: list[Row] = []
        for party in self.parties:
            for _ in range(rng.randint(2, 5)):
                days = rng.randint(1, 90)
                is_open = rng.random() < 0.6
                self.records.append(
                    {
                        self.party_id: party[self.party_id],
                        self.kind: rng.choice(names),
                        spec.date: (self.today - datetime.timedelta(days=days)).isoformat(),
                        spec.amount.column: _number(rng, spec.amount),
                        "status": spec.open_status if is_open else rng.choice(spec.other_statuses),
                    }
                )
        rng.shuffle(self.records)
        first = rng.randint(100, 800)
        for index, row in enumerate(self.records):
            row[self.record_id] = f"{spec.prefix}{first + 3 * index}"
        by_id = {party[self.party_id]: party for party in self.parties}
        self.found = [
            Found(row, by_id[row[self.party_id]], self.kinds[row[self.kind]])
            for row in self.records
        ]

    def _make_tables(self, world: World) -> None:
        spec = self.spec
        kind = {"name": "TEXT PRIMARY KEY", spec.rate.column: "INTEGER NOT NULL"}
        if spec.days:
            kind[spec.days.column] = "INTEGER NOT NULL"
        world.tables += [
            Table(spec.kind_table, kind, list(self.kinds.values())),
            Table(
                spec.party_table,
                {
                    self.party_id: "INTEGER PRIMARY KEY",
                    "name": "TEXT NOT NULL UNIQUE",
                    spec.place.column: "TEXT NOT NULL",
                    spec.tier.column: "TEXT NOT NULL",
                    "since": "TEXT NOT NULL",
                },
                self.parties,
            ),
            Table(
                spec.record_table,
                {
                    self.record_id: "TEXT PRIMARY KEY",
                    self.party_id: f"INTEGER NOT NULL REFERENCES {spec.party_table}",
                    self.kind: f"TEXT NOT NULL REFERENCES {spec.kind_table}",
                    spec.date: "TEXT NOT NULL",
                    spec.amount.column: "INTEGER NOT NULL",
                    "status": "TEXT NOT NULL",
                },
                self.records,
            ),
            Table(
                spec.charge_table,
                {
                    f"{ident(spec.charge)}_id": "INTEGER PRIMARY KEY",
                    self.party_id: f"INTEGER NOT NULL REFERENCES {spec.party_table}",
                    "amount": "INTEGER NOT NULL",
                },
                [
                    {
                        f"{ident(spec.charge)}_id": index + 1,
                        self.party_id: self.rng.choice(self.parties)[self.party_id],
                        "amount": self.rng.randint(2, 11),
                    }
                    for index in range(self.rng.randint(2, 5))
                ],
            ),
        ]

    # -- tools --------------------------------------------------------------------------------

    def _make_tools(self, world: World) -> None:
        spec, rng = self.spec, self.rng
        look = rng.choice(("get", "show", "look_up"))
        verb = rng.choice(("list", "find", "browse"))
        self.party_tool = f"{verb}_{ident(spec.parties)}"
        self.record_tool = f"{verb}_{ident(spec.records)}"
        self.kind_tool = f"{look}_{self.kind}" if self.kind_get else f"list_{ident(spec.kinds)}"
        names = self.names() | dict(get_tool=f"{look}_{self.record}")
        world.helper(PAGE_HELPER)
        world.tool(code.PARTIES, **names)
        world.tool(code.OF_PLACE if self.by_place else code.OF_PARTY, **names)
        world.tool(code.KIND_GET if self.kind_get else code.KIND_LIST, **names)
        world.tool(code.PLACES, **names)
        world.tool(code.GET, **names)
        for action in spec.actions:
            world.tool(code.ACT, verb=action.verb, title=action.verb.capitalize(),
                       new=action.status, **names)  # fmt: skip
        world.tool(code.CHARGE, **names)

    def names(self) -> dict[str, str | int]:
        """What the templates of tools and solutions call things."""
        spec = self.spec
        return dict(
            party=spec.party, parties=spec.parties, party_key=ident(spec.parties),
            party_id=self.party_id, party_table=spec.party_table, place=spec.place.column,
            place_noun=spec.place.noun, place_plural=spec.place.plural,
            place_key=ident(spec.place.plural), tier=spec.tier.column, record=spec.record,
            a_record=article(spec.record),
            records=spec.records, record_key=ident(spec.records), record_id=self.record_id,
            record_table=spec.record_table, record_ident=self.record, kind=self.kind,
            kind_noun=spec.kind, kinds=spec.kinds, kind_key=ident(spec.kinds),
            kind_table=spec.kind_table, date=spec.date, amount=spec.amount.column,
            open=spec.open_status, size=self.size, party_tool=self.party_tool,
            record_tool=self.record_tool, kind_tool=self.kind_tool, party_ident=self.party,
            charge=spec.charge, charge_ident=ident(spec.charge), charge_table=spec.charge_table,
            due=spec.due, rate=spec.rate.column, days=spec.days.column if spec.days else "",
            today=self.today.isoformat(),
        )  # fmt: skip

    def loader(self) -> str:
        """Functions of a solution: load_records(tools, places) gives (record, party, kind)."""
        names = self.names()
        parts = [code.LOAD_PARTIES, code.LOAD_BY_PLACE if self.by_place else code.LOAD_BY_PARTY]
        parts.append(code.LOAD_KIND_GET if self.kind_get else code.LOAD_KIND_LIST)
        return "\n\n".join(fill(part, **names) for part in parts)

    # -- questions ----------------------------------------------------------------------------

    def due(self, one: Found) -> int:
        spec = self.spec
        if spec.rule == "late":
            days = (self.today - datetime.date.fromisoformat(one.record[spec.date])).days
            return max(0, days - one.kind[spec.days.column]) * one.kind[spec.rate.column]
        if spec.rule == "share":
            return one.record[spec.amount.column] * one.kind[spec.rate.column] // 100
        return one.record[spec.amount.column] * one.kind[spec.rate.column]

    def due_code(self) -> str:
        return fill({"late": code.LATE, "share": code.SHARE, "times": code.TIMES}[self.spec.rule],
                    **self.names())  # fmt: skip

    def due_words(self, rng: Random) -> str:
        """A sentence that says what is due."""
        spec = self.spec
        values = dict(
            due=spec.due, record=spec.record, kind=spec.kind, rate=spec.rate.label,
            days=spec.days.label if spec.days else "", dated=spec.dated, amount=spec.amount.label,
        )  # fmt: skip
        if spec.rule == "late":
            return say(
                rng,
                "Count the days from the date on which a {record} {dated} until today and take"
                " away the {days} of its {kind}: if more than 0 days are left, the {due} is that"
                " number times the {rate} of the {kind}, otherwise it is 0.",
                "The {due} of a {record} is the {rate} of its {kind} for every day by which the"
                " time since it {dated} exceeds the {days} of its {kind}, and 0 if it does not.",
                **values,
            )
        if spec.rule == "share":
            return say(
                rng,
                "The {due} of a {record} is a part of its {amount}: as many percent as the"
                " {rate} of its {kind} says.",
                "To get the {due} of a {record}, take the {rate} of its {kind} as a percentage"
                " of its {amount}.",
                **values,
            )
        return say(
            rng,
            "The {due} of a {record} is its {amount} times the {rate} of its {kind}.",
            "Multiply the {amount} of a {record} by the {rate} of its {kind} to get its {due}.",
            **values,
        )

    def record_conditions(self, rng: Random) -> list[Condition]:
        """Conditions on records, in a drawn order; their code is over record, party and kind."""
        spec = self.spec
        cut = (self.today - datetime.timedelta(days=rng.randint(20, 60))).isoformat()
        before = rng.random() < 0.6
        limit = sorted(row[spec.amount.column] for row in self.records)[
            int(len(self.records) * rng.uniform(0.2, 0.6))
        ]
        kinds = sorted(rng.sample(sorted(self.kinds), 3))
        listed = ", ".join(f'"{kind}"' for kind in kinds)
        offers = [
            Condition(
                f"that {spec.dated} {'before' if before else 'on or after'} {cut}",
                f'record["{spec.date}"] {"<" if before else ">="} "{cut}"',
                lambda r, _: (r[spec.date] < cut) == before,
                spec.date,
            ),
            Condition(
                f"whose {spec.amount.label} is {spec.amount.words(limit)} or more",
                f'record["{spec.amount.column}"] >= {limit}',
                lambda r, _: r[spec.amount.column] >= limit,
                spec.amount.column,
            ),
            Condition(
                f"whose {spec.kind} is {', '.join(kinds[:-1])} or {kinds[-1]}",
                f'record["{self.kind}"] in [{listed}]',
                lambda r, _: r[self.kind] in kinds,
                self.kind,
            ),
        ]
        rng.shuffle(offers)
        return offers

    def tier_condition(self, rng: Random) -> Condition:
        """On parties: code over party."""
        tier = rng.choice(self.tiers)
        column = self.spec.tier.column
        others = [each for each in self.tiers if each != tier]
        if rng.random() < 0.5:
            return Condition(
                self.spec.tier.clause.format(tier),
                f'party["{column}"] == "{tier}"',
                lambda _, p: p[column] == tier,
                column,
            )
        return Condition(
            self.spec.tier.clause.format(" or ".join(others)),
            f'party["{column}"] in [{", ".join(chr(34) + each + chr(34) for each in others)}]',
            lambda _, p: p[column] in others,
            column,
        )


def _number(rng: Random, number) -> int:
    return rng.randrange(number.low, number.high + 1, number.step)
