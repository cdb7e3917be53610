"""Fitness: classes and studios, members and visits, trainers, courts.

V3.2 report, 3.2.3: a category of worlds.
"""

from __future__ import annotations

from speciale.synth.general.names import PERSON, TOWN, Namer
from speciale.synth.general.spec import (
    Action,
    Basket,
    Calendars,
    Catalogue,
    Choice,
    Domain,
    Flag,
    Maker,
    Number,
    Records,
    Roster,
)

CLASSES = Catalogue(
    noun="programme",
    plural="programmes",
    table="programmes",
    names=Namer(
        ("{adj} {kind}", "{thing} {kind}", "{adj} {thing} {kind}"),
        ("Flow", "Power", "Circuit", "Basics", "Boost", "Balance"),
    ),
    group=Choice(
        "sport",
        "sport",
        "sports",
        ("boxing", "climbing", "pilates", "rowing", "spinning", "swimming", "tennis", "yoga"),
        "for the sport {}",
    ),
    maker=Maker(
        noun="studio",
        plural="studios",
        table="studios",
        by="run by",
        fee=Number("locker_fee", "locker fee", 0, 30, 1, "euros"),
        choice=Choice(
            "side",
            "side of town",
            "sides of town",
            ("east", "north", "south", "west"),
            "in the {} of the town",
        ),
        flags=(
            Flag("sauna", "has a sauna", "has no sauna"),
            Flag("child_care", "offers child care", "offers no child care"),
        ),
        names=Namer(("Studio {thing}", "{adj} {thing} Gym", "{town} Sports", "{last}'s Gym")),
    ),
    cost=Number("price_per_class", "price per class", 6, 48, 1, "euros"),
    count=("class", "classes", 4, 16),
    score=Number("stars_percent", "member rating", 30, 99),
    numbers=(
        Number("minutes", "length of a class", 20, 120, 5, "minutes"),
        Number("places", "number of places", 4, 40),
        Number("calories", "energy used", 100, 900, 10, "kcal"),
    ),
    flags=(
        Flag("beginners", "suits beginners", "does not suit beginners"),
        Flag("gear", "includes the gear", "does not include the gear"),
        Flag("outdoors", "takes place outdoors", "takes place indoors"),
    ),
    basket=Basket("sign_ups", "sign-up", "join", "joined", "member"),
    contexts=(
        "{person} wants to get fit and takes {count} of a programme.",
        "A new member, {person}, signs up for {count} of each programme.",
        "You coach {person}, who does {count} of everything.",
        "After the holidays {person} pays for {count} at once.",
    ),
)

VISITS = Records(
    party="member",
    parties="members",
    party_table="members",
    place=Choice("club", "club", "clubs", TOWN, "of the club in {}"),
    tier=Choice(
        "card", "card", "cards", ("couple", "off-peak", "premium", "student"), "with a {} card"
    ),
    record="rental",
    records="rentals",
    record_table="rentals",
    prefix="G",
    kind="gear",
    kinds="kinds of gear",
    kind_table="gear",
    kind_names=("bicycle", "boat", "climbing set", "kettlebell", "racket", "skis"),
    rule="late",
    rate=Number("late_fee", "late fee per day", 2, 30, 1, "euros"),
    days=Number("rental_days", "rental period", 1, 21, 1, "days"),
    date="taken_on",
    dated="was taken out",
    amount=Number("pieces", "number of pieces", 1, 8),
    open_status="out",
    other_statuses=("back", "broken", "lost"),
    due="late fee",
    actions=(Action("call_in", "called in"), Action("extend", "extended")),
    charge="fee entry",
    charge_table="fee_entries",
    contexts=(
        "You run the gear counter of sports clubs. Today is {today}.",
        "On {today} the rentals of some clubs are checked.",
        "It is {today}; much rented gear is still out.",
    ),
)

TRAINERS = Roster(
    resource="trainer",
    resources="trainers",
    resource_table="trainers",
    resource_names=PERSON,
    skill=Choice(
        "discipline",
        "discipline",
        "disciplines",
        ("boxing", "dance", "rehab", "strength", "swimming"),
        "for {}",
    ),
    rate=Number("hourly_fee", "hourly fee", 19, 79, 1, "euros"),
    capacity=Number("max_group", "group limit", 4, 30),
    request="workshop",
    requests="workshops",
    request_table="workshops",
    request_names=Namer(("{adj} {thing} workshop", "{town} camp", "{thing} day", "{last} camp")),
    need="people",
    need_label="number of people",
    surcharge=Number("hall_rent", "hourly hall rent", 3, 40, 1, "euros"),
    booking="lesson",
    booking_table="lessons",
    verb="staff",
    past="staffed",
    contexts=(
        "Workshops of a sports club lack trainers.",
        "You plan the trainers of a sports club.",
        "The club's manager wants the cheapest staffing.",
    ),
)

COURTS = Calendars(
    person="player",
    people="players",
    people_table="players",
    role=Choice(
        "league", "league", "leagues", ("first", "junior", "second", "senior"), "of the {} league"
    ),
    entry="commitment",
    entry_table="commitments",
    entry_titles=("Family", "Physio", "Practice", "Travel", "Work"),
    room="court",
    rooms="courts",
    room_table="courts",
    room_names=Namer(("{thing} Court", "{last} Court", "{adj} {thing} Court")),
    capacity=Number("stands", "number of seats", 10, 200, 5),
    fee=Number("hourly_price", "hourly price", 6, 60, 1, "euros"),
    flags=(
        Flag("roofed", "has a roof", "has no roof"),
        Flag("floodlight", "has floodlights", "has no floodlights"),
        Flag("clay", "is a clay court", "is not a clay court"),
    ),
    event="match",
    events="matches",
    event_table="matches",
    verb="schedule",
    titles=("Club final", "Doubles", "Friendly", "Ladder match", "Qualifier"),
    contexts=(
        "You set the matches of a tennis club.",
        "Players of a club cannot agree on a time.",
        "A tournament needs courts and players.",
    ),
)

FITNESS = Domain(
    "fitness",
    "a sports club",
    catalogues=(CLASSES,),
    records=(VISITS,),
    rosters=(TRAINERS,),
    calendars=(COURTS,),
)
