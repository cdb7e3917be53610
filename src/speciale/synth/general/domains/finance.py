"""Finance: savings plans and banks, clients and invoices, auditors, advisers' calendars.

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

FUNDS = Catalogue(
    noun="fund",
    plural="funds",
    table="funds",
    names=Namer(
        ("{adj} {kind}", "{thing} {kind}", "{last} {kind}", "{adj} {thing} {kind}"),
        ("Growth", "Income", "Select", "Core", "Balance", "Horizon", "Trust"),
    ),
    group=Choice(
        "sector",
        "sector",
        "sectors",
        ("bonds", "energy", "food", "health", "housing", "mining", "technology", "transport"),
        "from the sector {}",
    ),
    maker=Maker(
        noun="bank",
        plural="banks",
        table="banks",
        by="issued by",
        fee=Number("entry_fee", "entry fee", 0, 45, 1, "euros"),
        choice=Choice(
            "seat",
            "seat",
            "seats",
            ("Dublin", "Luxembourg", "Oslo", "Singapore", "Zurich"),
            "with seat in {}",
        ),
        flags=(
            Flag("has_app", "offers an app", "offers no app"),
            Flag("cooperative", "is a cooperative", "is not a cooperative"),
        ),
        names=Namer(("{last} Bank", "{thing} Bank", "{adj} {thing} Bank", "{last} & {last2}")),
    ),
    cost=Number("share_price", "share price", 12, 210, 1, "euros"),
    count=("share", "shares", 3, 15),
    score=Number("rating", "rating", 25, 99),
    numbers=(
        Number("yearly_cost", "yearly cost", 10, 250, 5, "basis points"),
        Number("founded", "year of foundation", 1970, 2022),
        Number("holdings", "number of holdings", 20, 600, 10),
    ),
    flags=(
        Flag("pays_out", "pays out its earnings", "does not pay out its earnings"),
        Flag("sustainable", "is rated sustainable", "is not rated sustainable"),
        Flag("hedged", "is hedged", "is not hedged"),
    ),
    basket=Basket("buy_orders", "buy order", "buy", "bought", "investor"),
    contexts=(
        "{person} invests and buys {count} of a fund.",
        "A client, {person}, wants {count} of each fund.",
        "You place orders for {person}: {count} a fund.",
        "The investor {person} spreads money, {count} at a time.",
    ),
    choice=Choice(
        "risk",
        "risk class",
        "risk classes",
        ("high", "low", "medium", "very low"),
        "whose risk class is {}",
    ),
)

INVOICES = Records(
    party="debtor",
    parties="debtors",
    party_table="debtors",
    place=Choice("town", "town", "towns", TOWN, "in {}"),
    tier=Choice(
        "segment", "segment", "segments", ("corporate", "public", "retail"), "of the {} segment"
    ),
    record="invoice",
    records="invoices",
    record_table="invoices",
    prefix="N",
    kind="contract type",
    kinds="contract types",
    kind_table="contract_types",
    kind_names=("leasing", "licence", "maintenance", "project", "rental", "subscription"),
    rule="late",
    rate=Number("late_fee", "late fee per day", 2, 28, 1, "euros"),
    days=Number("payment_days", "payment term", 7, 45, 1, "days"),
    date="issued_on",
    dated="was issued",
    amount=Number("amount", "amount", 150, 4800, 50, "euros"),
    open_status="unpaid",
    other_statuses=("paid", "disputed", "written off"),
    due="late fee",
    actions=(Action("remind", "reminded"), Action("defer", "deferred")),
    charge="dunning fee",
    charge_table="dunning_fees",
    contexts=(
        "You do the dunning of a company; today is {today}.",
        "It is {today}, and the accounts receivable are being reviewed.",
        "As of {today}, some invoices are overdue.",
    ),
    party_names=Namer(
        ("{last} {kind}", "{thing} {kind}", "{last} & {last2}"),
        ("Ltd", "Holding", "Group", "Bros", "Media"),
    ),
)

AUDITORS = Roster(
    resource="auditor",
    resources="auditors",
    resource_table="auditors",
    resource_names=PERSON,
    skill=Choice(
        "standard", "standard", "standards", ("GAAP", "IFRS", "ISO 27001", "SOX", "tax"), "for {}"
    ),
    rate=Number("hourly_fee", "hourly fee", 60, 240, 1, "euros"),
    capacity=Number("max_entities", "limit of entities", 2, 18),
    request="audit",
    requests="audits",
    request_table="audits",
    request_names=Namer(("{last} Ltd", "{thing} Holding", "{adj} {thing} Group")),
    need="entities",
    need_label="number of entities",
    surcharge=Number("travel_cost", "hourly travel cost", 1, 40, 1, "euros"),
    booking="mandate",
    booking_table="mandates",
    verb="assign",
    past="assigned",
    contexts=(
        "An audit firm plans its next days.",
        "You assign auditors to companies.",
        "The partner of an audit firm needs a cheap plan.",
    ),
)

ADVICE = Calendars(
    person="adviser",
    people="advisers",
    people_table="advisers",
    role=Choice("desk", "desk", "desks", ("credit", "equity", "pension", "tax"), "of the {} desk"),
    entry="engagement",
    entry_table="engagements",
    entry_titles=("Board", "Client call", "Compliance", "Lunch talk", "Training"),
    room="conference room",
    rooms="conference rooms",
    room_table="conference_rooms",
    room_names=Namer(("{thing} Suite", "{town} Room", "{adj} Lounge")),
    capacity=Number("seats", "number of seats", 4, 30),
    fee=Number("hourly_price", "hourly price", 15, 120, 1, "euros"),
    flags=(
        Flag("soundproof", "is soundproof", "is not soundproof"),
        Flag("ticker", "has a market screen", "has no market screen"),
        Flag("catering", "comes with catering", "comes without catering"),
    ),
    event="client meeting",
    events="client meetings",
    event_table="client_meetings",
    verb="book",
    titles=("Yearly review", "Loan talk", "Pitch", "Portfolio check", "Estate planning"),
    contexts=(
        "You keep the calendars of a private bank.",
        "Advisers of a bank have to sit down with a client.",
        "A bank's front office wants a time and a room.",
    ),
)

FINANCE = Domain(
    "finance",
    "a finance house",
    catalogues=(FUNDS,),
    records=(INVOICES,),
    rosters=(AUDITORS,),
    calendars=(ADVICE,),
)
