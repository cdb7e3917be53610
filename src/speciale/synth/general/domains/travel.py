"""Travel: hotels and day tours, trains, guides and their bookings.

V3.2 report, 3.2.3: a category of worlds (planning a trip is the report's own example).
"""

from __future__ import annotations

from speciale.synth.general.names import COMPANY, PERSON, TOWN, Namer
from speciale.synth.general.spec import (
    Basket,
    Catalogue,
    Choice,
    Domain,
    Flag,
    Maker,
    Network,
    Number,
    Roster,
)

COUNTRIES = (
    "Austria",
    "Chile",
    "Denmark",
    "Estonia",
    "Greece",
    "Ireland",
    "Japan",
    "Kenya",
    "Morocco",
    "Norway",
    "Peru",
    "Portugal",
    "Slovenia",
    "Vietnam",
)

HOTELS = Catalogue(
    noun="hotel",
    plural="hotels",
    table="hotels",
    names=Namer(
        ("Hotel {adj} {thing}", "The {adj} {thing}", "{town} {kind}", "{thing} {kind}"),
        ("Inn", "Lodge", "House", "Palace", "Court", "Rooms"),
    ),
    group=Choice("city", "city", "cities", TOWN, "in {}"),
    maker=Maker(
        noun="chain",
        plural="chains",
        table="chains",
        by="run by",
        fee=Number("booking_fee", "booking fee", 0, 40, 2, "euros"),
        choice=Choice("country", "country", "countries", COUNTRIES, "from {}"),
        flags=(
            Flag("eco_label", "holds the eco label", "does not hold the eco label"),
            Flag("loyalty_club", "has a loyalty club", "has no loyalty club"),
        ),
    ),
    cost=Number("price_per_night", "price per night", 48, 260, 1, "euros"),
    count=("night", "nights", 2, 6),
    score=Number("guest_score", "guest score", 40, 99),
    numbers=(
        Number("rooms", "number of rooms", 8, 160),
        Number("metres_to_station", "distance to the station", 50, 4000, 50, "metres"),
        Number("built", "year of construction", 1890, 2022),
    ),
    flags=(
        Flag("pool", "has a pool", "has no pool"),
        Flag("breakfast", "includes breakfast", "does not include breakfast"),
        Flag("pets", "takes pets", "does not take pets"),
        Flag("step_free", "is free of steps", "is not free of steps"),
    ),
    choice=Choice(
        "view", "view", "views", ("sea", "park", "river", "street"), "with a view of the {}"
    ),
    basket=Basket("reservations", "reservation", "reserve", "reserved", "guest"),
    contexts=(
        "{person} is planning a trip and stays {count} in a place.",
        "A customer of ours, {person}, wants to travel and needs somewhere to sleep for {count}.",
        "You help {person} with the holidays; each stay is {count} long.",
        "Please help with the travel plans of {person}, who always stays {count}.",
    ),
)

GUIDES = Roster(
    resource="guide",
    resources="guides",
    resource_table="guides",
    resource_names=PERSON,
    skill=Choice(
        "language",
        "language",
        "languages",
        ("Arabic", "English", "French", "German", "Italian", "Korean", "Spanish"),
        "in {}",
    ),
    rate=Number("hourly_fee", "hourly fee", 24, 90, 1, "euros"),
    capacity=Number("largest_group", "largest group", 8, 30),
    request="tour",
    requests="tours",
    request_table="tours",
    request_names=Namer(
        ("{thing} {kind}", "{adj} {kind}", "{town} {kind}"),
        ("Walk", "Ramble", "Night", "Tour", "Stroll"),
    ),
    need="group_size",
    need_label="group size",
    surcharge=Number("hourly_extra", "hourly extra", 0, 15, 1, "euros"),
    booking="assignment",
    booking_table="assignments",
    verb="assign",
    past="assigned",
    contexts=(
        "You plan the guides of a tour operator.",
        "A tour operator still lacks guides for the coming days.",
        "The planner of a tour company has fallen ill, and you stand in.",
    ),
)

TRAINS = Network(
    stop="station",
    stops="stations",
    stop_names=TOWN,
    leg="train",
    legs="trains",
    leg_table="trains",
    prefix="T",
    operator="railway",
    operators="railways",
    operator_table="railways",
    operator_names=COMPANY,
    operator_flag=Flag("refunds", "gives refunds", "gives no refunds", 0.75),
    price=Number("fare", "fare", 41, 240, 1, "euros"),
    flag=Flag("bicycles", "take bicycles", "take no bicycles", 0.8),
    traveller="passenger",
    thing=PERSON,
    booking="ticket",
    booking_table="tickets",
    verb="book",
    past="booked",
    contexts=(
        "{thing} wants to travel by train today.",
        "Please plan a railway journey for {thing}.",
        "A traveller, {thing}, asks for a connection.",
    ),
)

TRAVEL = Domain(
    "travel",
    "a travel agency",
    catalogues=(HOTELS,),
    rosters=(GUIDES,),
    networks=(TRAINS,),
)
