"""Logistics: freight offers and carriers, clients and shipments, drivers, and timed lanes.

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

OFFERS = Catalogue(
    noun="freight offer",
    plural="freight offers",
    table="freight_offers",
    names=Namer(
        ("{thing} {kind}", "{adj} {kind}", "{town} {kind}", "{adj} {thing} {kind}"),
        ("Line", "Run", "Haul", "Link", "Service"),
    ),
    group=Choice("destination", "destination", "destinations", TOWN, "to {}"),
    maker=Maker(
        noun="carrier",
        plural="carriers",
        table="carriers",
        by="run by",
        fee=Number("pickup_fee", "pick-up fee", 0, 70, 2, "euros"),
        choice=Choice(
            "fleet",
            "kind of fleet",
            "kinds of fleet",
            ("barge", "electric", "gas", "hybrid", "rail"),
            "with a fleet of kind {}",
        ),
        flags=(
            Flag("tracking", "offers tracking", "offers no tracking"),
            Flag("night_pickup", "picks up at night", "does not pick up at night"),
        ),
    ),
    cost=Number("pallet_rate", "rate per pallet", 31, 190, 1, "euros"),
    count=("pallet", "pallets", 2, 12),
    score=Number("punctuality", "punctuality", 40, 99),
    numbers=(
        Number("transit_hours", "transit time", 6, 96, 1, "hours"),
        Number("max_kg", "weight limit per pallet", 300, 1500, 25, "kg"),
        Number("co2_kg", "emission", 10, 240, 1, "kg"),
    ),
    flags=(
        Flag("cooled", "is cooled", "is not cooled"),
        Flag("hazardous", "takes hazardous goods", "takes no hazardous goods"),
        Flag("tail_lift", "includes a tail lift", "includes no tail lift"),
    ),
    basket=Basket("freight_orders", "freight order", "book", "booked", "shipper"),
    contexts=(
        "{person} ships goods, {count} for every destination.",
        "A dispatcher, {person}, has {count} waiting for each destination.",
        "You buy freight for {person}: {count} a time.",
        "The exporter {person} sends {count} to each place.",
    ),
)

SHIPMENTS = Records(
    party="client",
    parties="clients",
    party_table="clients",
    place=Choice(
        "region",
        "region",
        "regions",
        ("Coast", "Highlands", "Lakes", "Midlands", "Plains", "Valleys"),
        "in the {}",
    ),
    tier=Choice(
        "contract", "contract", "contracts", ("flex", "prime", "standard"), "under a {} contract"
    ),
    record="shipment",
    records="shipments",
    record_table="shipments",
    prefix="S",
    kind="service level",
    kinds="service levels",
    kind_table="service_levels",
    kind_names=("bulk", "economy", "express", "fragile", "overnight", "same day"),
    rule="late",
    rate=Number("penalty_per_day", "penalty per day", 4, 60, 1, "euros"),
    days=Number("promised_days", "promised time", 2, 30, 1, "days"),
    date="handed_over_on",
    dated="was handed over",
    amount=Number("pallets", "number of pallets", 1, 30),
    open_status="in transit",
    other_statuses=("delivered", "lost", "returned"),
    due="penalty",
    actions=(Action("escalate", "escalated"), Action("reroute", "rerouted")),
    charge="compensation",
    charge_table="compensations",
    contexts=(
        "You sit in the control room of a haulage firm; it is {today}.",
        "Today, {today}, the shipments of a carrier are being checked.",
        "Take {today} as the date of today: a forwarder looks into late shipments.",
    ),
    party_names=Namer(
        ("{last} {kind}", "{thing} {kind}", "{last} & {last2}"),
        ("Foods", "Tools", "Textiles", "Trading", "Paper"),
    ),
)

DRIVERS = Roster(
    resource="driver",
    resources="drivers",
    resource_table="drivers",
    resource_names=PERSON,
    skill=Choice(
        "licence",
        "licence",
        "licences",
        ("articulated", "crane", "heavy", "tanker", "van"),
        "for {}",
    ),
    rate=Number("hourly_wage", "hourly wage", 19, 58, 1, "euros"),
    capacity=Number("max_tonnes", "load limit", 3, 40, 1, "tonnes"),
    request="haul",
    requests="hauls",
    request_table="hauls",
    request_names=Namer(("{town} haul", "{thing} haul", "{last} removal", "{adj} {thing} move")),
    need="tonnes",
    need_label="load",
    surcharge=Number("truck_cost", "hourly truck cost", 5, 40, 1, "euros"),
    booking="duty",
    booking_table="duties",
    verb="dispatch",
    past="dispatched",
    contexts=(
        "You dispatch the drivers of a haulage firm.",
        "A forwarder has hauls without a driver.",
        "The dispatcher is off today and you take over.",
    ),
)

LANES = Network(
    stop="depot",
    stops="depots",
    stop_names=TOWN,
    leg="truck",
    legs="trucks",
    leg_table="truck_departures",
    prefix="K",
    operator="haulier",
    operators="hauliers",
    operator_table="hauliers",
    operator_names=Namer(("{last} Haulage", "{thing} Freight", "{last} & {last2} Transport")),
    operator_flag=Flag("certified", "is certified for food", "is not certified for food", 0.75),
    price=Number("freight", "freight charge", 55, 380, 1, "euros"),
    flag=Flag("cooled", "are cooled", "are not cooled", 0.8),
    traveller="consignment",
    thing=Namer(("consignment {thing}", "load {last}", "container {adj} {thing}")),
    booking="slot",
    booking_table="load_slots",
    verb="book",
    past="booked",
    contexts=(
        "{thing} stands in a depot and has to move today.",
        "Route {thing} through the network of depots.",
        "You plan how {thing} gets to its depot.",
    ),
)

LOGISTICS = Domain(
    "logistics",
    "a freight forwarder",
    catalogues=(OFFERS,),
    records=(SHIPMENTS,),
    rosters=(DRIVERS,),
    networks=(LANES,),
)
