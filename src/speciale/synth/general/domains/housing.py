"""Housing: flats and landlords, tenants and meter readings, craftspeople, viewings.

V3.2 report, 3.2.3: a category of worlds.
"""

from __future__ import annotations

from speciale.synth.general.names import PERSON, TOWN, Namer
from speciale.synth.general.spec import (
    Action,
    Basket,
    Catalogue,
    Choice,
    Domain,
    Flag,
    Maker,
    Number,
    Records,
    Roster,
)

FLATS = Catalogue(
    noun="flat",
    plural="flats",
    table="flats",
    names=Namer(
        (
            "{town} Street {kind}",
            "{thing} Lane {kind}",
            "{last} Square {kind}",
            "{adj} Mews {kind}",
        ),
        ("2", "3", "5", "7", "11", "14", "18", "21", "26", "33"),
    ),
    group=Choice("district", "district", "districts", TOWN, "in {}"),
    maker=Maker(
        noun="landlord",
        plural="landlords",
        table="landlords",
        by="let by",
        fee=Number("contract_fee", "contract fee", 0, 190, 5, "euros"),
        choice=Choice(
            "form",
            "legal form",
            "legal forms",
            ("association", "company", "foundation", "private"),
            "with the legal form {}",
        ),
        flags=(
            Flag("caretaker", "employs a caretaker", "employs no caretaker"),
            Flag("short_lets", "allows short lets", "does not allow short lets"),
        ),
    ),
    cost=Number("monthly_rent", "monthly rent", 390, 1600, 1, "euros"),
    count=("month", "months", 2, 6),
    score=Number("condition", "condition", 30, 99),
    numbers=(
        Number("square_metres", "floor space", 24, 140, 1, "square metres"),
        Number("floor", "floor", 0, 9),
        Number("minutes_to_centre", "way to the centre", 3, 55, 1, "minutes"),
    ),
    flags=(
        Flag("balcony", "has a balcony", "has no balcony"),
        Flag("furnished", "is furnished", "is not furnished"),
        Flag("lift", "has a lift", "has no lift"),
        Flag("pets", "allows pets", "does not allow pets"),
    ),
    basket=Basket("leases", "lease", "rent", "rented", "tenant"),
    contexts=(
        "{person} needs flats for staff, each for {count}.",
        "A company under {person} rents flats for {count}.",
        "You search for {person}; every stay is {count}.",
        "{person} moves teams around and rents for {count}.",
    ),
)

READINGS = Records(
    party="tenant",
    parties="tenants",
    party_table="tenants",
    place=Choice("estate", "estate", "estates", TOWN, "on the {} estate"),
    tier=Choice(
        "contract", "contract", "contracts", ("fixed", "open", "trial"), "with a {} contract"
    ),
    record="reading",
    records="readings",
    record_table="readings",
    prefix="M",
    kind="meter",
    kinds="meters",
    kind_table="meters",
    kind_names=("cold water", "district heat", "electricity", "gas", "hot water"),
    rule="times",
    rate=Number("cents_per_unit", "price per unit", 3, 48, 1, "cents"),
    date="read_on",
    dated="was taken",
    amount=Number("units", "number of units", 20, 380),
    open_status="unbilled",
    other_statuses=("billed", "estimated", "disputed"),
    due="cost",
    actions=(Action("bill", "billed"), Action("dispute", "disputed")),
    charge="statement",
    charge_table="statements",
    contexts=(
        "You settle the meters of housing estates. Today is {today}.",
        "It is {today}; the meter readings of some estates are worked through.",
        "The property manager wants the meters settled by {today}, which is today.",
    ),
)

CRAFT = Roster(
    resource="craftsperson",
    resources="craftspeople",
    resource_table="craftspeople",
    resource_names=PERSON,
    skill=Choice(
        "craft",
        "craft",
        "crafts",
        ("carpentry", "electrics", "glazing", "painting", "plumbing"),
        "for {}",
    ),
    rate=Number("hourly_rate", "hourly rate", 28, 98, 1, "euros"),
    capacity=Number("max_flats", "limit of flats", 1, 14),
    request="repair",
    requests="repairs",
    request_table="repairs",
    request_names=Namer(("repair {thing}", "repair at {town} Street", "repair {last}")),
    need="flats",
    need_label="number of flats",
    surcharge=Number("parking", "hourly parking cost", 1, 19, 1, "euros"),
    booking="job",
    booking_table="jobs",
    verb="assign",
    past="assigned",
    contexts=(
        "Repairs in a housing estate wait for craftspeople.",
        "You assign repairs for a property manager.",
        "The caretaker has a list of repairs.",
    ),
)

HOUSING = Domain(
    "housing", "a property manager", catalogues=(FLATS,), records=(READINGS,), rosters=(CRAFT,)
)
