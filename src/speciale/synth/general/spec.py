"""The words of which a domain is declared: columns, and facets that take nouns for their parts.

V3.2 report, 3.2.3: a category of worlds. A facet (catalogue, records, roster, calendars, network)
is a shape of data with its tools; a domain gives it a schema, nouns, rules and reasons to ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from speciale.synth.general.names import COMPANY, PERSON, Namer


@dataclass(frozen=True)
class Number:
    """A column of whole numbers from `low` to `high` in steps. `unit` follows the number."""

    column: str
    label: str  # "price per night"
    low: int
    high: int
    step: int = 1
    unit: str = ""

    def words(self, value: int) -> str:
        return f"{value} {self.unit}".strip()


@dataclass(frozen=True)
class Flag:
    """A column of yes or no; `yes` and `no` go after "that": "has a pool", "has no pool"."""

    column: str
    yes: str
    no: str
    share: float = 0.6  # of rows where it is yes


@dataclass(frozen=True)
class Choice:
    """A column of one of a few words. `clause` goes after a noun: "whose cuisine is {}"."""

    column: str
    noun: str
    plural: str
    values: tuple[str, ...] | Namer
    clause: str


@dataclass(frozen=True)
class Maker:
    """Those who offer a catalogue's items: chains, publishers, departments."""

    noun: str
    plural: str
    table: str
    by: str  # "that is run by"
    fee: Number  # paid once for a choice, whatever its quantity
    choice: Choice
    flags: tuple[Flag, ...]
    names: Namer = COMPANY


@dataclass(frozen=True)
class Basket:
    """What is written when something is taken: reservations, order lines."""

    table: str
    noun: str  # "reservation"
    verb: str  # the tool's first word, and in sentences: "reserve"
    past: str  # "reserved"
    person: str  # column of the one it is for: "guest"


@dataclass(frozen=True)
class Catalogue:
    """Items in groups, each by a maker, with a cost, a score and features."""

    noun: str
    plural: str
    table: str
    names: Namer
    group: Choice  # "city": "in {}"
    maker: Maker
    cost: Number
    count: tuple[str, str, int, int]  # what the cost is paid for: "night", "nights", 2, 6
    score: Number
    numbers: tuple[Number, ...]
    flags: tuple[Flag, ...]
    basket: Basket
    contexts: tuple[str, ...]  # with {person}; why somebody asks
    choice: Choice | None = None


@dataclass(frozen=True)
class Action:
    """A write on an open record: the tool "renew_loan" turns its status into "renewed"."""

    verb: str
    status: str


@dataclass(frozen=True)
class Records:
    """Parties (members, customers) with dated records (loans, orders) of kinds that have rates.

    What is due for a record, by `rule`: "late", the days beyond those its kind allows times the
    kind's rate; "share", the kind's rate in percent of its amount (in hundreds); "times", its
    amount times the kind's rate.
    """

    party: str
    parties: str
    party_table: str
    place: Choice  # where a party belongs: "city", "in {}"
    tier: Choice  # "with the {} card"
    record: str
    records: str
    record_table: str
    prefix: str  # of record ids: "L"
    kind: str  # "item type"
    kinds: str
    kind_table: str
    kind_names: tuple[str, ...]
    rule: Literal["late", "share", "times"]
    rate: Number  # of a kind: "fine per day"
    date: str  # column: "lent_on"
    dated: str  # "was lent"
    amount: Number
    open_status: str  # "on loan"
    other_statuses: tuple[str, ...]
    due: str  # "fine"
    actions: tuple[Action, Action]
    charge: str  # what is written to a party's account: "charge"; the tool is "add_charge"
    charge_table: str
    contexts: tuple[str, ...]
    days: Number | None = None  # of a kind, for "late": "loan period"
    party_names: Namer = PERSON


@dataclass(frozen=True)
class Roster:
    """Requests that wait, and resources with a skill, a rate and free slots to take them."""

    resource: str  # "guide"
    resources: str
    resource_table: str
    resource_names: Namer
    skill: Choice  # "language": "for {}"
    rate: Number  # of a resource, for one booking: "fee"
    capacity: Number  # of a resource: "largest group"; a request needs so much
    request: str  # "tour"
    requests: str
    request_table: str
    request_names: Namer
    need: str  # column of what a request needs of the capacity: "group_size"
    need_label: str
    surcharge: Number  # of a slot: "time surcharge"
    booking: str  # "assignment"
    booking_table: str
    verb: str  # "assign"
    past: str  # "assigned"
    contexts: tuple[str, ...]


@dataclass(frozen=True)
class Calendars:
    """People with busy times, and rooms with features and busy times, over a few days."""

    person: str
    people: str
    people_table: str
    role: Choice  # "team": "of the {} team"
    entry: str  # what makes them busy: "appointment"
    entry_table: str
    entry_titles: tuple[str, ...]
    room: str
    rooms: str
    room_table: str
    room_names: Namer
    capacity: Number
    fee: Number  # an hour
    flags: tuple[Flag, ...]
    event: str  # what is to be scheduled: "meeting"
    events: str
    event_table: str
    verb: str  # "schedule"
    titles: tuple[str, ...]
    contexts: tuple[str, ...]


@dataclass(frozen=True)
class Network:
    """Timed legs between stops in one day, with operators, prices and features."""

    stop: str
    stops: str
    stop_names: Namer
    leg: str  # "train"
    legs: str
    leg_table: str
    prefix: str
    operator: str
    operators: str
    operator_table: str
    operator_names: Namer
    operator_flag: Flag
    price: Number
    flag: Flag  # of legs, in the plural: "take bicycles"
    traveller: str  # column of who or what is carried: "passenger"
    thing: Namer  # its names
    booking: str
    booking_table: str
    verb: str  # "book"
    past: str
    contexts: tuple[str, ...]  # with {thing}


@dataclass(frozen=True)
class Domain:
    """A category of worlds; a world has a few of its facets."""

    category: str
    about: str  # "a travel agency"
    catalogues: tuple[Catalogue, ...] = ()
    records: tuple[Records, ...] = ()
    rosters: tuple[Roster, ...] = ()
    calendars: tuple[Calendars, ...] = ()
    networks: tuple[Network, ...] = ()
