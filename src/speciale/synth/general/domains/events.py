"""Events: acts and agencies, guests and tickets, stage hands, stages, and shuttles.

V3.2 report, 3.2.3: a category of worlds.
"""

from __future__ import annotations

from speciale.synth.general.names import PERSON, Namer
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

ACTS = Catalogue(
    noun="act",
    plural="acts",
    table="acts",
    names=Namer(
        ("The {adj} {thing}s", "{thing} {kind}", "{last} {kind}", "{adj} {kind}"),
        ("Trio", "Quartet", "Band", "Duo", "Ensemble", "Sisters", "Brothers"),
    ),
    group=Choice(
        "genre",
        "genre",
        "genres",
        ("blues", "circus", "comedy", "folk", "jazz", "magic", "puppetry", "swing"),
        "of the genre {}",
    ),
    maker=Maker(
        noun="agency",
        plural="agencies",
        table="agencies",
        by="represented by",
        fee=Number("agency_fee", "agency fee", 0, 90, 2, "euros"),
        choice=Choice(
            "home",
            "home town",
            "home towns",
            ("Bergen", "Ghent", "Lyon", "Porto", "Turin"),
            "at home in {}",
        ),
        flags=(
            Flag("own_sound", "brings its own sound", "does not bring its own sound"),
            Flag("late_cancel", "allows late cancellation", "does not allow late cancellation"),
        ),
    ),
    cost=Number("hourly_fee", "fee per hour", 70, 390, 1, "euros"),
    count=("hour", "hours", 2, 5),
    score=Number("popularity", "popularity", 25, 99),
    numbers=(
        Number("members", "number of members", 1, 14),
        Number("stage_m2", "need of space", 4, 80, 1, "square metres"),
        Number("since", "founding year", 1985, 2022),
    ),
    flags=(
        Flag("outdoors", "plays outdoors", "does not play outdoors"),
        Flag("for_children", "suits children", "does not suit children"),
        Flag("travels", "travels with a crew", "travels without a crew"),
    ),
    basket=Basket("bookings", "booking", "hire", "hired", "organiser"),
    contexts=(
        "{person} organises a festival and hires acts for {count} each.",
        "For a town fair, {person} needs acts; each plays {count}.",
        "You help the organiser {person}. Every act performs for {count}.",
        "The festival of {person} has room for sets of {count}.",
    ),
)

TICKETS = Records(
    party="guest",
    parties="guests",
    party_table="guests",
    place=Choice(
        "section",
        "section",
        "sections",
        ("balcony", "east stand", "garden", "stalls", "terrace", "west stand"),
        "in the section {}",
    ),
    tier=Choice("pass_type", "pass", "passes", ("day", "festival", "press"), "with a {} pass"),
    record="ticket",
    records="tickets",
    record_table="tickets",
    prefix="T",
    kind="show",
    kinds="shows",
    kind_table="shows",
    kind_names=(
        "Firelight",
        "Harbour Choir",
        "Midnight Jam",
        "Morning Brass",
        "Opening Gala",
        "Puppet Hour",
    ),
    rule="share",
    rate=Number("refund_percent", "refund percentage", 15, 90, 5),
    date="sold_on",
    dated="was sold",
    amount=Number("price_cents", "price in cents", 1000, 9900, 100),
    open_status="valid",
    other_statuses=("used", "refunded", "blocked"),
    due="refund",
    actions=(Action("refund", "refunded"), Action("block", "blocked")),
    charge="voucher",
    charge_table="vouchers",
    contexts=(
        "You sit in the box office of a festival. It is {today}.",
        "On {today} a storm upsets the programme of a festival.",
        "Today, {today}, the box office sorts out its tickets.",
    ),
)

CREW = Roster(
    resource="technician",
    resources="technicians",
    resource_table="technicians",
    resource_names=PERSON,
    skill=Choice("trade", "trade", "trades", ("lighting", "rigging", "sound", "video"), "for {}"),
    rate=Number("hourly_wage", "hourly wage", 21, 88, 1, "euros"),
    capacity=Number("max_audience", "limit of the audience", 50, 900, 10),
    request="gig",
    requests="gigs",
    request_table="gigs",
    request_names=Namer(("{thing} gig", "{adj} {thing} night", "{town} show", "{last} concert")),
    need="audience",
    need_label="audience",
    surcharge=Number("gear_rent", "hourly gear rent", 4, 48, 1, "euros"),
    booking="crew call",
    booking_table="crew_calls",
    verb="crew",
    past="crewed",
    contexts=(
        "Gigs in the coming days have no technician yet.",
        "You are the crew chief of a festival.",
        "A concert hall hires its technicians by the hour.",
    ),
)

SHUTTLES = Network(
    stop="venue",
    stops="venues",
    stop_names=Namer(("{town} Hall", "{town} Park", "{thing} Stage")),
    leg="shuttle bus",
    legs="shuttle buses",
    leg_table="shuttle_buses",
    prefix="B",
    operator="bus company",
    operators="bus companies",
    operator_table="bus_companies",
    operator_names=Namer(("{last} Coaches", "{thing} Bus", "{adj} {thing} Lines")),
    operator_flag=Flag("group_rates", "grants group rates", "grants no group rates", 0.75),
    price=Number("fare_cents", "fare in cents", 120, 690, 1),
    flag=Flag("step_free", "are free of steps", "are not free of steps", 0.8),
    traveller="visitor",
    thing=PERSON,
    booking="seat",
    booking_table="seats",
    verb="reserve",
    past="reserved",
    contexts=(
        "{thing} visits a festival with many venues.",
        "Help {thing} to get from one concert to the next.",
        "The information desk of a festival is asked by {thing}.",
    ),
)

EVENTS = Domain(
    "events",
    "a festival",
    catalogues=(ACTS,),
    records=(TICKETS,),
    rosters=(CREW,),
    networks=(SHUTTLES,),
)
