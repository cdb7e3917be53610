"""A facet: items in groups, each by a maker, with a cost, a score and features; and a basket.

V3.2 report, 3.2.3: data and tools of an environment. The tools' granularity is drawn: lists with
details apart, whole rows with filters, or costs by batches of ids.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from speciale.synth.general import catalogue_code as code
from speciale.synth.general.names import Namer
from speciale.synth.general.spec import Catalogue, Choice, Number
from speciale.synth.general.text import article, fill, say
from speciale.synth.general.world import PAGE_HELPER, Row, Table, World, draw_some, spread


def ident(words: str) -> str:
    return words.replace(" ", "_").replace("-", "_")


@dataclass(frozen=True)
class Condition:
    """`clause` for the prompt, `code` over the row and its maker, and the same as a function."""

    clause: str
    code: str
    test: Callable[[Row, Row], bool]
    about: str  # column: no two conditions of a task are about one


class CatalogueFacet:
    """Built for one world: rows, tools, and the text by which a solution loads them."""

    def __init__(self, spec: Catalogue, world: World) -> None:
        rng = world.rng
        self.spec, self.rng = spec, rng
        self.noun, self.maker = ident(spec.noun), ident(spec.maker.noun)
        self.id = f"{self.noun}_id"
        self.mode = rng.choice(("details", "full", "batch"))
        self.maker_mode = rng.choice(("get", "list"))
        self.size = rng.choice((3, 4, 5))
        self.look = rng.choice(("get", "show", "look_up"))
        self.list_verb = rng.choice(("list", "browse", "find"))
        self.flags = draw_some(rng, spec.flags, 2, 4)
        self.numbers = draw_some(rng, spec.numbers, 1, 3)
        self.choice = spec.choice
        self.maker_flags = draw_some(rng, spec.maker.flags, 1, 2)
        self.groups = draw_values(spec.group, world, rng.randint(6, 7))
        self._make_rows(world)
        self._make_tools(world)

    # -- data ---------------------------------------------------------------------------------

    def _make_rows(self, world: World) -> None:
        spec, rng = self.spec, self.rng
        places = draw_values(spec.maker.choice, world, 4)
        makers = [
            {
                "name": world.names.draw(spec.maker.names),
                spec.maker.choice.column: rng.choice(places),
                spec.maker.fee.column: _number(rng, spec.maker.fee),
                **{flag.column: rng.random() < flag.share for flag in self.maker_flags},
            }
            for _ in range(rng.randint(6, 9))
        ]
        self.makers: dict[str, Row] = {maker["name"]: maker for maker in makers}
        rows: list[Row] = []
        most = 6 if self.mode == "details" else 9
        for group in self.groups:
            count = rng.randint(5, most)
            costs = spread(rng, spec.cost.low, spec.cost.high, spec.cost.step, count)
            for cost in costs:
                row = {
                    "name": world.names.draw(spec.names),
                    spec.group.column: group,
                    self.maker: rng.choice(makers)["name"],
                    spec.cost.column: cost,
                    spec.score.column: _number(rng, spec.score),
                }
                row |= {number.column: _number(rng, number) for number in self.numbers}
                row |= {flag.column: rng.random() < flag.share for flag in self.flags}
                if self.choice:
                    row[self.choice.column] = rng.choice(self.choice.values)
                rows.append(row)
        rng.shuffle(rows)
        letter, start = self.noun[0].upper(), rng.randint(10, 80) * 10
        for index, row in enumerate(rows):
            row[self.id] = f"{letter}{start + index * rng.choice((1, 2, 3)) + 300 * index}"
        self.rows = rows
        self.columns = [
            self.id,
            "name",
            spec.group.column,
            self.maker,
            spec.cost.column,
            spec.score.column,
            *(number.column for number in self.numbers),
            *(flag.column for flag in self.flags),
            *([self.choice.column] if self.choice else []),
        ]
        self._make_tables(world, makers)

    def _make_tables(self, world: World, makers: list[Row]) -> None:
        spec = self.spec
        flags = {flag.column for flag in [*self.flags, *self.maker_flags]}
        kinds = {
            column: "TEXT NOT NULL" if isinstance(self.rows[0][column], str) else "INTEGER NOT NULL"
            for column in self.columns
        }
        kinds |= {column: "INTEGER NOT NULL  -- 0 or 1" for column in kinds if column in flags}
        kinds = {column: kind.partition("  --")[0] for column, kind in kinds.items()}
        kinds[self.id] = "TEXT PRIMARY KEY"
        kinds["name"] = "TEXT NOT NULL UNIQUE"
        kinds[self.maker] = f"TEXT NOT NULL REFERENCES {spec.maker.table} (name)"
        columns = {"name": "TEXT PRIMARY KEY"}
        for column, value in makers[0].items():
            if column != "name":
                columns[column] = "TEXT NOT NULL" if isinstance(value, str) else "INTEGER NOT NULL"
        self.quantity = ident(spec.count[1])
        basket = spec.basket
        self.entry = ident(basket.noun)
        others = [
            {
                f"{self.entry}_id": index + 1,
                basket.person: world.names.draw(Namer(("{first} {last}",))),
                self.id: self.rng.choice(self.rows)[self.id],
                self.quantity: self.rng.randint(*spec.count[2:]),
            }
            for index in range(self.rng.randint(3, 7))
        ]
        world.tables += [
            Table(spec.maker.table, columns, sorted(makers, key=lambda row: row["name"])),
            Table(spec.table, kinds, self.rows),
            Table(
                basket.table,
                {
                    f"{self.entry}_id": "INTEGER PRIMARY KEY",
                    basket.person: "TEXT NOT NULL",
                    self.id: f"TEXT NOT NULL REFERENCES {spec.table} ({self.id})",
                    self.quantity: "INTEGER NOT NULL",
                },
                others,
            ),
        ]

    # -- tools --------------------------------------------------------------------------------

    def _make_tools(self, world: World) -> None:
        spec, noun = self.spec, self.noun
        self.list_tool = f"{self.list_verb}_{ident(spec.plural)}"
        self.get_tool = f"{self.look}_{noun}"
        self.batch_tool = f"{self.look}_{noun}_{spec.cost.column.split('_')[0]}s"
        self.batch_key = f"{spec.cost.column.split('_')[0]}s"
        self.maker_get = f"{self.look}_{self.maker}"
        self.maker_list = f"list_{ident(spec.maker.plural)}"
        self.take_tool = f"{spec.basket.verb}_{noun}"
        short = {"details": [self.id, "name"], "full": self.columns}.get(self.mode) or [
            column for column in self.columns if column not in (spec.cost.column, spec.score.column)
        ]
        flags = sorted({f.column for f in [*self.flags, *self.maker_flags]})
        names = dict(
            noun=spec.noun,
            plural=spec.plural,
            a_noun=article(spec.noun),
            table=spec.table,
            key=ident(spec.plural),
            id=self.id,
            group=spec.group.column,
            group_noun=spec.group.noun,
            group_plural=spec.group.plural,
            groups_key=ident(spec.group.plural),
            size=self.size,
            ident=noun,
            list_tool=self.list_tool,
            get_tool=self.get_tool,
            batch_tool=self.batch_tool,
            batch_key=self.batch_key,
            cost=spec.cost.column,
            score=spec.score.column,
            cost_label=spec.cost.label,
            score_label=spec.score.label,
            maker=self.maker,
            maker_noun=spec.maker.noun,
            maker_plural=spec.maker.plural,
            maker_table=spec.maker.table,
            maker_get=self.maker_get,
            maker_list=self.maker_list,
            maker_key=ident(spec.maker.plural),
            take_tool=self.take_tool,
            entry=self.entry,
            entry_noun=spec.basket.noun,
            basket=spec.basket.table,
            person=spec.basket.person,
            quantity=self.quantity,
            past=spec.basket.past,
            verb=spec.basket.verb.capitalize().replace("_", " "),
            count_plural=spec.count[1],
            columns=", ".join(short),
            order=self.rng.choice(("name", self.id, "rowid")),
            shape=f"_{noun}",
            flags=", ".join(f'"{flag}"' for flag in flags),
        )
        world.helper(PAGE_HELPER)
        world.helper(code.SHAPE, **names)
        world.tool(code.GROUPS, **names)
        world.tool(code.LIST, **names)
        if self.mode == "details":
            world.tool(code.GET, **names)
        elif self.mode == "batch":
            world.tool(code.BATCH, **names)
        world.tool(code.MAKER_GET if self.maker_mode == "get" else code.MAKER_LIST, **names)
        world.tool(code.TAKE, **names)
        world.tool(code.TAKEN, **names)
        if self.rng.random() < 0.5:
            world.tool(code.COUNT, **names)

    def loader(self) -> str:
        """Functions of a solution that load the items of a group, and makers."""
        spec = self.spec
        names = dict(
            noun=self.noun,
            key=ident(spec.plural),
            plural=spec.plural,
            id=self.id,
            group=spec.group.column,
            group_noun=spec.group.noun,
            list_tool=self.list_tool,
            get_tool=self.get_tool,
            batch_tool=self.batch_tool,
            batch_key=self.batch_key,
            maker=self.maker,
            makers=ident(spec.maker.plural),
            maker_plural=spec.maker.plural,
            maker_get=self.maker_get,
            maker_list=self.maker_list,
        )
        names["details"] = {
            "details": fill(
                'rows += [tools.$get_tool($id=entry["$id"]) for entry in result["$key"]]',
                **names,
            ),
            "full": fill('rows += result["$key"]', **names),
            "batch": fill(code.LOAD_BATCH, **names),
        }[self.mode]
        maker = code.LOAD_MAKER_GET if self.maker_mode == "get" else code.LOAD_MAKER_LIST
        return fill(code.LOAD, **names) + "\n\n" + fill(maker, **names)

    # -- questions ----------------------------------------------------------------------------

    def of_groups(self, groups: list[str]) -> list[Row]:
        return [row for row in self.rows if row[self.spec.group.column] in groups]

    def conditions(
        self,
        rng: Random,
        count: int,
        keeps: Callable[[list[Row]], bool],
        rows: list[Row],
        avoid: tuple[str, ...] = (),
    ) -> list[Condition]:
        """Up to `count` conditions under which the rows that are left please `keeps`, each about
        something else and each leaving fewer rows."""
        chosen: list[Condition] = []
        offers = self._offers(rng, rows)
        rng.shuffle(offers)
        for offer in offers:
            if len(chosen) == count:
                break
            if offer.about in avoid or offer.about in {one.about for one in chosen}:
                continue
            left = [row for row in rows if offer.test(row, self.makers[row[self.maker]])]
            if len(left) < len(rows) and keeps(left):
                chosen.append(offer)
                rows = left
        return chosen

    def _offers(self, rng: Random, rows: list[Row]) -> list[Condition]:
        spec, offers = self.spec, []
        noun, maker = self.noun, self.maker
        for flag in self.flags:
            yes = rng.random() < 0.75
            offers.append(_flag(noun, flag.column, yes, "that " + (flag.yes if yes else flag.no)))
        for number in [*self.numbers, spec.score, spec.cost]:
            values = sorted(row[number.column] for row in rows)
            least = rng.random() < 0.5
            limit = values[int(len(values) * (rng.uniform(0.2, 0.5) + (0 if least else 0.3)))]
            offers.append(number_condition(rng, number, noun, least, limit))
        if self.choice:
            two = sorted(rng.sample(self.choice.values, 2))
            offers.append(
                _one_of(noun, self.choice.column, two, self.choice.clause.format(" or ".join(two)))
            )
        by = f"that is {spec.maker.by} {article(spec.maker.noun)}"
        for flag in self.maker_flags:
            yes = rng.random() < 0.75
            clause = f"{by} that {flag.yes if yes else flag.no}"
            offers.append(_flag(maker, flag.column, yes, clause, of_maker=True))
        column = spec.maker.choice.column
        places = sorted({one[column] for one in self.makers.values()})
        two = sorted(rng.sample(places, min(2, len(places))))
        clause = f"{by} {spec.maker.choice.clause.format(' or '.join(two))}"
        offers.append(_one_of(maker, column, two, clause, of_maker=True))
        return offers

    def total_code(self, count: int) -> str:
        spec = self.spec
        return (
            f'{count} * {self.noun}["{spec.cost.column}"] + {self.maker}["{spec.maker.fee.column}"]'
        )

    def total(self, row: Row, count: int) -> int:
        spec = self.spec
        return count * row[spec.cost.column] + self.makers[row[self.maker]][spec.maker.fee.column]

    def total_words(self, rng: Random, count: int) -> str:
        """A sentence that says what a total is."""
        spec = self.spec
        counted = f"{count} {spec.count[1]}"
        return say(
            rng,
            "The total of {a} is its {cost} times {count}, plus the {fee} of its {maker} (once).",
            "A total is made up of {counted} at the {cost}, plus one {fee} as asked by the"
            " {maker}.",
            "Count as total: {counted} at the {noun}'s {cost}, and on top the {maker}'s {fee},"
            " once.",
            a=article(spec.noun),
            cost=spec.cost.label,
            count=counted,
            fee=spec.maker.fee.label,
            maker=spec.maker.noun,
            counted=counted,
            noun=spec.noun,
        )


def draw_values(choice: Choice, world: World, count: int) -> list[str]:
    if isinstance(choice.values, Namer):
        return world.names.many(choice.values, count)
    return sorted(world.rng.sample(choice.values, min(count, len(choice.values))))


def _number(rng: Random, number: Number) -> int:
    return rng.randrange(number.low, number.high + 1, number.step)


def _flag(noun: str, column: str, yes: bool, clause: str, of_maker: bool = False) -> Condition:
    def test(row: Row, maker: Row) -> bool:
        return (maker if of_maker else row)[column] == yes

    code = f'{noun}["{column}"]'
    return Condition(clause, code if yes else f"not {code}", test, column)


def _one_of(
    noun: str, column: str, values: list[str], clause: str, of_maker: bool = False
) -> Condition:
    def test(row: Row, maker: Row) -> bool:
        return (maker if of_maker else row)[column] in values

    words = ", ".join(f'"{value}"' for value in values)
    return Condition(clause, f'{noun}["{column}"] in [{words}]', test, column)


def number_condition(rng: Random, number: Number, noun: str, least: bool, limit: int) -> Condition:
    """A bound on a number of the row, the bound included."""

    def test(row: Row, maker: Row) -> bool:
        return row[number.column] >= limit if least else row[number.column] <= limit

    words = number.words(limit)
    if least:
        clause = say(
            rng,
            "whose {label} is at least {n}",
            "with a {label} of {n} or more",
            "whose {label} is {n} or more",
            label=number.label,
            n=words,
        )
    else:
        clause = say(
            rng,
            "whose {label} is at most {n}",
            "with a {label} of {n} or less",
            "whose {label} is not above {n}",
            label=number.label,
            n=words,
        )
    code = f'{noun}["{number.column}"] {">=" if least else "<="} {limit}'
    return Condition(clause, code, test, number.column)
