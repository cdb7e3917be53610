"""Inventory: parts and suppliers, stores and lots of stock, inspectors, transfers between stores.

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
    Network,
    Number,
    Records,
    Roster,
)

PARTS = Catalogue(
    noun="part",
    plural="parts",
    table="parts",
    names=Namer(
        ("{thing} {kind}", "{last} {kind}", "{adj} {kind}", "{adj} {thing} {kind}"),
        ("10", "20", "40", "X2", "X5", "S", "M", "L"),
    ),
    group=Choice(
        "category",
        "category",
        "categories",
        ("bearings", "belts", "bolts", "filters", "gaskets", "hoses", "pumps", "sensors", "valves"),
        "from the category {}",
    ),
    maker=Maker(
        noun="supplier",
        plural="suppliers",
        table="suppliers",
        by="supplied by",
        fee=Number("order_fee", "order fee", 0, 48, 2, "dollars"),
        choice=Choice(
            "state", "state", "states", ("Iowa", "Maine", "Nevada", "Ohio", "Texas"), "from {}"
        ),
        flags=(
            Flag("audited", "has been audited", "has not been audited"),
            Flag("buys_back", "buys back surplus", "does not buy back surplus"),
        ),
    ),
    cost=Number("unit_price", "unit price", 4, 97, 1, "dollars"),
    count=("unit", "units", 5, 20),
    score=Number("reliability", "reliability", 40, 99),
    numbers=(
        Number("lead_days", "lead time", 1, 45, 1, "days"),
        Number("grams", "weight", 20, 900, 10, "grams"),
        Number("shelf_months", "shelf life", 6, 72, 6, "months"),
    ),
    flags=(
        Flag("stainless", "is stainless", "is not stainless"),
        Flag("certified", "is certified", "is not certified"),
        Flag("reusable", "can be used again", "cannot be used again"),
    ),
    basket=Basket("purchase_lines", "purchase line", "order", "ordered", "planner"),
    contexts=(
        "{person} plans the stock of a plant and orders {count} of a part.",
        "The reorder level is reached; {person} buys {count} of each part.",
        "You restock for {person}, who takes {count} of everything.",
        "For the planner {person}, every order is {count}.",
    ),
)

LOTS = Records(
    party="store",
    parties="stores",
    party_table="stores",
    place=Choice("district", "district", "districts", TOWN, "in the {} district"),
    tier=Choice("store_class", "class", "classes", ("A", "B", "C"), "of class {}"),
    record="lot",
    records="lots",
    record_table="lots",
    prefix="B",
    kind="material",
    kinds="materials",
    kind_table="materials",
    kind_names=("adhesive", "coating", "copper wire", "foam", "resin", "steel sheet"),
    rule="times",
    rate=Number("unit_value", "unit value", 3, 70, 1, "dollars"),
    date="received_on",
    dated="was received",
    amount=Number("units", "number of units", 5, 90),
    open_status="on hand",
    other_statuses=("issued", "scrapped", "reserved"),
    due="book value",
    actions=(Action("scrap", "scrapped"), Action("reserve", "reserved")),
    charge="write-off",
    charge_table="write_offs",
    contexts=(
        "You keep the stock books of a manufacturer. It is {today}.",
        "Stocktaking on {today}: lots have to be sorted out.",
        "Today is {today}, and the stores report their lots.",
    ),
    party_names=Namer(("{town} Store", "{thing} Store", "Store {last}")),
)

INSPECTORS = Roster(
    resource="inspector",
    resources="inspectors",
    resource_table="inspectors",
    resource_names=PERSON,
    skill=Choice(
        "field",
        "field",
        "fields",
        ("electrics", "hydraulics", "pressure", "racking", "software"),
        "for {}",
    ),
    rate=Number("hourly_fee", "hourly fee", 33, 120, 1, "dollars"),
    capacity=Number("max_aisles", "limit of aisles", 4, 30),
    request="inspection",
    requests="inspections",
    request_table="inspections",
    request_names=Namer(("{town} hall", "{thing} hall", "hall {last}", "{adj} {thing} yard")),
    need="aisles",
    need_label="number of aisles",
    surcharge=Number("standstill", "hourly standstill cost", 2, 35, 1, "dollars"),
    booking="visit",
    booking_table="visits",
    verb="commission",
    past="commissioned",
    contexts=(
        "Warehouses have to be inspected in the coming days.",
        "You arrange inspections for a chain of warehouses.",
        "A safety officer asks you to find inspectors.",
    ),
)

TRANSFERS = Network(
    stop="warehouse",
    stops="warehouses",
    stop_names=Namer(("{town}", "{town} East")),
    leg="shuttle",
    legs="shuttles",
    leg_table="shuttles",
    prefix="W",
    operator="contractor",
    operators="contractors",
    operator_table="contractors",
    operator_names=Namer(("{last} Movers", "{thing} Shuttle", "{adj} {thing} Cargo")),
    operator_flag=Flag("bonded", "is bonded", "is not bonded", 0.75),
    price=Number("rate_dollars", "rate", 38, 290, 1, "dollars"),
    flag=Flag("covered", "are covered", "are not covered", 0.8),
    traveller="pallet",
    thing=Namer(("pallet {thing}", "pallet {last}", "rack {adj} {thing}")),
    booking="transfer",
    booking_table="transfers",
    verb="reserve",
    past="reserved",
    contexts=(
        "{thing} lies in the wrong warehouse and must move today.",
        "Stock is short elsewhere: move {thing} between warehouses.",
        "Find a way by shuttle for {thing}.",
    ),
)

INVENTORY = Domain(
    "inventory",
    "a manufacturer's stores",
    catalogues=(PARTS,),
    records=(LOTS,),
    rosters=(INSPECTORS,),
    networks=(TRANSFERS,),
)
