"""Calendar: an office with meetings, rooms, tasks and the people who do them.

V3.2 report, 3.2.3: a category of worlds.
"""

from __future__ import annotations

from speciale.synth.general.names import TOWN, Namer
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
)

MEETINGS = Calendars(
    person="colleague",
    people="colleagues",
    people_table="colleagues",
    role=Choice(
        "team", "team", "teams", ("design", "engineering", "legal", "sales", "support"), "of {}"
    ),
    entry="appointment",
    entry_table="appointments",
    entry_titles=("Dentist", "Focus time", "Interview", "One-to-one", "Review", "Site visit"),
    room="room",
    rooms="rooms",
    room_table="rooms",
    room_names=Namer(("Room {thing}", "{thing} Room", "{adj} {thing} Room")),
    capacity=Number("seats", "number of seats", 4, 24),
    fee=Number("hourly_fee", "hourly fee", 5, 60, 1, "euros"),
    flags=(
        Flag("screen", "has a screen", "has no screen"),
        Flag("whiteboard", "has a whiteboard", "has no whiteboard"),
        Flag("video", "has video equipment", "has no video equipment"),
        Flag("daylight", "has daylight", "has no daylight"),
    ),
    event="meeting",
    events="meetings",
    event_table="meetings",
    verb="schedule",
    titles=(
        "Budget talk",
        "Kick-off",
        "Launch review",
        "Retrospective",
        "Roadmap",
        "Supplier call",
    ),
    contexts=(
        "You keep the calendars of an office.",
        "An assistant is needed to find a time for busy people.",
        "Help an office to get its people into one room.",
    ),
)

VENUES = Catalogue(
    noun="venue",
    plural="venues",
    table="venues",
    names=Namer(
        ("{adj} {kind}", "{thing} {kind}", "{last} {kind}", "{town} {kind}"),
        ("Barn", "Forum", "Hall", "Loft", "Manor", "Mill", "Pavilion"),
    ),
    group=Choice("region", "region", "regions", TOWN, "near {}"),
    maker=Maker(
        noun="host",
        plural="hosts",
        table="hosts",
        by="run by",
        fee=Number("cleaning_fee", "cleaning fee", 0, 60, 2, "euros"),
        choice=Choice(
            "menu", "menu", "menus", ("regional", "vegan", "vegetarian", "world"), "with a {} menu"
        ),
        flags=(
            Flag("shuttle", "offers a shuttle", "offers no shuttle"),
            Flag(
                "free_cancel",
                "lets you cancel free of charge",
                "does not let you cancel free of charge",
            ),
        ),
    ),
    cost=Number("day_rate", "day rate", 80, 640, 1, "euros"),
    count=("day", "days", 2, 4),
    score=Number("guest_rating", "guest rating", 35, 99),
    numbers=(
        Number("seats", "number of seats", 8, 120),
        Number("minutes_by_train", "journey", 10, 150, 5, "minutes"),
        Number("break_out_rooms", "number of side rooms", 0, 7),
    ),
    flags=(
        Flag("garden", "has a garden", "has no garden"),
        Flag("fast_wifi", "has fast internet", "has no fast internet"),
        Flag("beds", "has beds", "has no beds"),
    ),
    basket=Basket("reservations", "reservation", "reserve", "reserved", "organiser"),
    contexts=(
        "{person} plans an off-site of {count}.",
        "The assistant of {person} looks for a place to meet for {count}.",
        "A series of retreats, {count} each, is organised by {person}.",
        "You help {person}, whose team goes away for {count}.",
    ),
)

TIME_SHEETS = Records(
    party="employee",
    parties="employees",
    party_table="employees",
    place=Choice("office", "office", "offices", TOWN, "of the {} office"),
    tier=Choice("grade", "grade", "grades", ("expert", "junior", "senior"), "of the {} grade"),
    record="time entry",
    records="time entries",
    record_table="time_entries",
    prefix="E",
    kind="project",
    kinds="projects",
    kind_table="projects",
    kind_names=("Archive", "Bridge", "Catalogue", "Harbour", "Museum", "Station"),
    rule="times",
    rate=Number("hourly_rate", "hourly rate", 25, 140, 1, "euros"),
    date="worked_on",
    dated="was worked",
    amount=Number("hours", "number of hours", 1, 10),
    open_status="submitted",
    other_statuses=("approved", "invoiced", "rejected"),
    due="value",
    actions=(Action("approve", "approved"), Action("reject", "rejected")),
    charge="billing line",
    charge_table="billing_lines",
    contexts=(
        "You look after the time sheets of a company. Today is {today}.",
        "It is {today}, and the month is being closed.",
        "The project office checks time sheets on {today}.",
    ),
)

CALENDAR = Domain(
    "calendar",
    "an office with shared calendars",
    catalogues=(VENUES,),
    records=(TIME_SHEETS,),
    calendars=(MEETINGS,),
)
