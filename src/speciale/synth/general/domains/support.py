"""Support: service plans and vendors, customers and tickets, field engineers, call reviews.

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

PLANS = Catalogue(
    noun="service plan",
    plural="service plans",
    table="service_plans",
    names=Namer(
        ("{adj} {kind}", "{thing} {kind}", "{adj} {thing} {kind}", "{last} {kind}"),
        ("Care", "Assist", "Cover", "Shield", "Desk", "Direct"),
    ),
    group=Choice(
        "device",
        "kind of device",
        "kinds of device",
        ("laptop", "monitor", "phone", "printer", "router", "scanner", "server", "tablet"),
        "for the device {}",
    ),
    maker=Maker(
        noun="vendor",
        plural="vendors",
        table="vendors",
        by="sold by",
        fee=Number("setup_fee", "set-up fee", 0, 55, 1, "dollars"),
        choice=Choice(
            "time_zone",
            "time zone",
            "time zones",
            ("CET", "EST", "JST", "PST"),
            "in the time zone {}",
        ),
        flags=(
            Flag("chat", "offers chat", "offers no chat"),
            Flag("iso", "is ISO certified", "is not ISO certified"),
        ),
    ),
    cost=Number("monthly_price", "monthly price", 9, 130, 1, "dollars"),
    count=("month", "months", 3, 12),
    score=Number("satisfaction", "satisfaction", 30, 99),
    numbers=(
        Number("response_minutes", "response time", 5, 480, 5, "minutes"),
        Number("max_users", "user limit", 1, 60),
        Number("notice_days", "notice period", 7, 90, 1, "days"),
    ),
    flags=(
        Flag("on_site", "includes visits on site", "includes no visits on site"),
        Flag("weekends", "covers weekends", "does not cover weekends"),
        Flag("spare_parts", "includes spare parts", "includes no spare parts"),
    ),
    basket=Basket("subscriptions", "subscription", "subscribe_to", "subscribed to", "customer"),
    contexts=(
        "{person} buys support for {count}.",
        "The office of {person} wants its devices covered for {count}.",
        "You advise {person}, whose contracts always run for {count}.",
        "{person} compares service plans over {count}.",
    ),
)

CASES = Records(
    party="account",
    parties="accounts",
    party_table="accounts",
    place=Choice("city", "city", "cities", TOWN, "in {}"),
    tier=Choice("plan", "plan", "plans", ("bronze", "gold", "silver"), "on the {} plan"),
    record="ticket",
    records="tickets",
    record_table="tickets",
    prefix="C",
    kind="priority",
    kinds="priorities",
    kind_table="priorities",
    kind_names=("P1", "P2", "P3", "P4", "P5", "P6"),
    rule="late",
    rate=Number("credit_per_day", "credit per day", 3, 55, 1, "dollars"),
    days=Number("target_days", "target time", 1, 25, 1, "days"),
    date="opened_on",
    dated="was opened",
    amount=Number("messages", "number of messages", 1, 40),
    open_status="open",
    other_statuses=("closed", "merged", "on hold"),
    due="service credit",
    actions=(Action("escalate", "escalated"), Action("close", "closed")),
    charge="credit note",
    charge_table="credit_notes",
    contexts=(
        "You lead a support desk; today is {today}.",
        "It is {today}, and the backlog of a support desk must shrink.",
        "The tickets of a help desk are reviewed on {today}.",
    ),
    party_names=Namer(
        ("{last} {kind}", "{thing} {kind}", "{last} & {last2}"),
        ("Labs", "Retail", "Hotels", "Energy", "Logistics"),
    ),
)

ENGINEERS = Roster(
    resource="engineer",
    resources="engineers",
    resource_table="engineers",
    resource_names=PERSON,
    skill=Choice(
        "product",
        "product",
        "products",
        ("backup", "database", "firewall", "mail", "storage"),
        "for {}",
    ),
    rate=Number("hourly_rate", "hourly rate", 35, 150, 1, "dollars"),
    capacity=Number("max_severity", "highest severity", 1, 9),
    request="incident",
    requests="incidents",
    request_table="incidents",
    request_names=Namer(("incident {thing}", "incident {last}", "outage {adj} {thing}")),
    need="severity",
    need_label="severity",
    surcharge=Number("call_out", "hourly call-out charge", 2, 45, 1, "dollars"),
    booking="visit",
    booking_table="visits",
    verb="dispatch",
    past="dispatched",
    contexts=(
        "Incidents are waiting for an engineer.",
        "You dispatch the field engineers of a software company.",
        "A help desk hands its incidents on to engineers.",
    ),
)

REVIEWS = Calendars(
    person="agent",
    people="agents",
    people_table="agents",
    role=Choice(
        "queue", "queue", "queues", ("billing", "hardware", "network", "returns"), "of the {} queue"
    ),
    entry="shift",
    entry_table="shifts",
    entry_titles=("Calls", "Chat", "Coaching", "Mail", "Standby"),
    room="booth",
    rooms="booths",
    room_table="booths",
    room_names=Namer(("Booth {thing}", "{adj} Booth", "{thing} Corner")),
    capacity=Number("headsets", "number of headsets", 2, 16),
    fee=Number("hourly_cost", "hourly cost", 4, 58, 1, "dollars"),
    flags=(
        Flag("recorder", "has a recorder", "has no recorder"),
        Flag("soundproof", "is soundproof", "is not soundproof"),
        Flag("two_screens", "has two screens", "has only one screen"),
    ),
    event="review",
    events="reviews",
    event_table="reviews",
    verb="schedule",
    titles=("Call listening", "Queue review", "Root cause", "New macros", "Feedback round"),
    contexts=(
        "The agents of a support desk review their calls.",
        "You keep the roster of a call centre.",
        "A team leader of a help desk wants a review.",
    ),
)

SUPPORT = Domain(
    "support",
    "a support desk",
    catalogues=(PLANS,),
    records=(CASES,),
    rosters=(ENGINEERS,),
    calendars=(REVIEWS,),
)
