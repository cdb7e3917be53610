"""Clinic: practices and treatments, patients and invoices, surgeons, rooms for case talks.

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

THERAPIES = Catalogue(
    noun="therapy course",
    plural="therapy courses",
    table="therapy_courses",
    names=Namer(
        ("{adj} {kind}", "{thing} {kind}", "{last} {kind}", "{adj} {thing} {kind}"),
        ("Method", "Programme", "Course", "Plan", "Path"),
    ),
    group=Choice(
        "complaint",
        "complaint",
        "complaints",
        (
            "back pain",
            "headache",
            "insomnia",
            "knee injury",
            "neck pain",
            "stress",
            "tinnitus",
            "vertigo",
        ),
        "for {}",
    ),
    maker=Maker(
        noun="practice",
        plural="practices",
        table="practices",
        by="given by",
        fee=Number("admission_fee", "admission fee", 0, 60, 2, "francs"),
        choice=Choice(
            "district",
            "district",
            "districts",
            ("Harbour", "Hillside", "Market", "Northgate", "Riverside"),
            "in the {} district",
        ),
        flags=(
            Flag("parking", "has parking", "has no parking"),
            Flag("evenings", "opens in the evening", "does not open in the evening"),
        ),
        names=Namer(("{last} Practice", "{thing} Clinic", "{last} & {last2}", "{town} Clinic")),
    ),
    cost=Number("session_fee", "session fee", 35, 190, 1, "francs"),
    count=("session", "sessions", 3, 10),
    score=Number("success_rate", "success rate", 35, 98),
    numbers=(
        Number("minutes", "session length", 20, 90, 5, "minutes"),
        Number("waiting_days", "waiting time", 1, 60, 1, "days"),
        Number("group_size", "group size", 1, 12),
    ),
    flags=(
        Flag("insured", "is paid for by insurers", "is not paid for by insurers"),
        Flag("at_home", "can be done at home", "cannot be done at home"),
        Flag("medication", "involves medication", "involves no medication"),
    ),
    basket=Basket("enrolments", "enrolment", "book", "booked", "patient"),
    contexts=(
        "{person} is a patient and takes {count} of a course.",
        "A doctor has prescribed {count} of each course to {person}.",
        "You advise {person}, who will go for {count} of any course.",
        "{person} looks for treatment, always {count} of it.",
    ),
)

INVOICES = Records(
    party="patient",
    parties="patients",
    party_table="patients",
    place=Choice("surgery", "surgery", "surgeries", TOWN, "of the surgery in {}"),
    tier=Choice(
        "insurance",
        "insurance",
        "insurances",
        ("basic", "family", "full", "private"),
        "with {} insurance",
    ),
    record="visit",
    records="visits",
    record_table="visits",
    prefix="V",
    kind="service",
    kinds="services",
    kind_table="services",
    kind_names=("check-up", "dressing", "laboratory", "physiotherapy", "vaccination", "x-ray"),
    rule="share",
    rate=Number("copay_percent", "co-payment percentage", 5, 60, 5),
    date="visited_on",
    dated="took place",
    amount=Number("cost", "cost", 100, 2400, 100, "francs"),
    open_status="unbilled",
    other_statuses=("billed", "paid", "waived"),
    due="co-payment",
    actions=(Action("bill", "billed"), Action("waive", "waived")),
    charge="invoice line",
    charge_table="invoice_lines",
    contexts=(
        "You do the accounts of a group of surgeries. Today is {today}.",
        "It is {today}; a doctor's office wants its visits settled.",
        "As of {today}, some visits have to be looked into.",
    ),
)

SURGEONS = Roster(
    resource="surgeon",
    resources="surgeons",
    resource_table="surgeons",
    resource_names=PERSON,
    skill=Choice(
        "specialty",
        "specialty",
        "specialties",
        ("cardiology", "hand surgery", "neurology", "orthopaedics", "urology"),
        "in {}",
    ),
    rate=Number("hourly_rate", "hourly rate", 110, 380, 1, "francs"),
    capacity=Number("risk_class", "highest risk class", 1, 9),
    request="operation",
    requests="operations",
    request_table="operations",
    request_names=Namer(("operation {thing}", "case {last}", "case {adj} {thing}")),
    need="risk",
    need_label="risk",
    surcharge=Number("theatre_rate", "hourly theatre rate", 20, 90, 1, "francs"),
    booking="appointment",
    booking_table="appointments",
    verb="schedule",
    past="scheduled",
    contexts=(
        "You plan the operations of a hospital.",
        "Some operations at a clinic still need a surgeon.",
        "A hospital's planning office asks for help.",
    ),
)

TALKS = Calendars(
    person="physician",
    people="physicians",
    people_table="physicians",
    role=Choice("ward", "ward", "wards", ("A1", "B2", "C3", "D4"), "of ward {}"),
    entry="shift",
    entry_table="shifts",
    entry_titles=("Night follow-up", "Outpatients", "Rounds", "Theatre", "Training"),
    room="consulting room",
    rooms="consulting rooms",
    room_table="consulting_rooms",
    room_names=Namer(("Room {last}", "{thing} Suite", "{adj} Room")),
    capacity=Number("places", "number of places", 3, 20),
    fee=Number("hourly_cost", "hourly cost", 8, 75, 1, "francs"),
    flags=(
        Flag("imaging", "has an imaging screen", "has no imaging screen"),
        Flag("sterile", "is sterile", "is not sterile"),
        Flag("phone", "has a telephone line", "has no telephone line"),
    ),
    event="case talk",
    events="case talks",
    event_table="case_talks",
    verb="arrange",
    titles=("Tumour board", "Handover", "Discharge talk", "Second opinion", "Ethics round"),
    contexts=(
        "Physicians of a hospital have to meet about their patients.",
        "You arrange case talks in a clinic.",
        "The clinic's secretary is away; you find the times.",
    ),
)

CLINIC = Domain(
    "clinic",
    "a clinic",
    catalogues=(THERAPIES,),
    records=(INVOICES,),
    rosters=(SURGEONS,),
    calendars=(TALKS,),
)
