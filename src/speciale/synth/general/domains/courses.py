"""Courses: a university's modules and institutes, students and enrolments, tutors, study groups.

V3.2 report, 3.2.3: a category of worlds.
"""

from __future__ import annotations

from speciale.synth.general.names import PERSON, Namer
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

MODULES = Catalogue(
    noun="module",
    plural="modules",
    table="modules",
    names=Namer(
        ("{adj} {kind}", "{kind} after {last}", "{last} {kind}", "{thing} {kind}"),
        ("Theory", "Methods", "Systems", "Design", "Practice", "Models", "Studies"),
    ),
    group=Choice(
        "field",
        "field",
        "fields",
        (
            "algebra",
            "ecology",
            "economics",
            "linguistics",
            "optics",
            "philosophy",
            "robotics",
            "statistics",
        ),
        "in {}",
    ),
    maker=Maker(
        noun="institute",
        plural="institutes",
        table="institutes",
        by="taught by",
        fee=Number("material_fee", "material fee", 0, 50, 2, "pounds"),
        choice=Choice(
            "campus",
            "campus",
            "campuses",
            ("Canal", "Hill", "Old Town", "Park"),
            "on the {} campus",
        ),
        flags=(
            Flag("online", "also teaches online", "does not teach online"),
            Flag("evening_courses", "teaches in the evening", "does not teach in the evening"),
        ),
        names=Namer(("{last} Institute", "{thing} School", "{adj} {thing} Institute")),
    ),
    cost=Number("fee_per_credit", "fee per credit", 18, 130, 1, "pounds"),
    count=("credit", "credits", 3, 8),
    score=Number("student_rating", "student rating", 30, 99),
    numbers=(
        Number("weekly_hours", "weekly workload", 3, 24, 1, "hours"),
        Number("seats", "number of seats", 12, 220),
        Number("pass_rate", "pass rate", 45, 99, 1, "percent"),
    ),
    flags=(
        Flag("needs_prior", "has prerequisites", "has no prerequisites"),
        Flag("has_exam", "ends with an exam", "ends without an exam"),
        Flag("in_english", "is taught in English", "is not taught in English"),
        Flag("group_work", "includes group work", "includes no group work"),
    ),
    basket=Basket("enrolled_modules", "enrolment", "enrol_in", "enrolled", "student"),
    contexts=(
        "{person} plans the next term; every module counts {count}.",
        "A student, {person}, takes {count} in each field.",
        "You advise the student {person}, who wants {count} of every module.",
        "For the exchange year of {person}, each module is worth {count}.",
    ),
)

ENROLMENTS = Records(
    party="student",
    parties="students",
    party_table="students",
    place=Choice(
        "faculty",
        "faculty",
        "faculties",
        ("arts", "engineering", "law", "medicine", "science", "theology"),
        "of the faculty of {}",
    ),
    tier=Choice(
        "funding", "funding", "fundings", ("grant", "loan", "self-paid"), "with {} funding"
    ),
    record="registration",
    records="registrations",
    record_table="registrations",
    prefix="E",
    kind="course type",
    kinds="course types",
    kind_table="course_types",
    kind_names=("excursion", "laboratory", "language course", "lecture", "seminar", "workshop"),
    rule="share",
    rate=Number("refund_percent", "refund percentage", 10, 95, 5),
    date="registered_on",
    dated="was made",
    amount=Number("fee", "fee", 100, 1500, 100, "pounds"),
    open_status="pending",
    other_statuses=("confirmed", "dropped", "completed"),
    due="refund",
    actions=(Action("drop", "dropped"), Action("confirm", "confirmed")),
    charge="refund order",
    charge_table="refund_orders",
    contexts=(
        "You work in a registrar's office. Today is {today}.",
        "It is {today}, and the registration period is over.",
        "The registrar needs help on {today}.",
    ),
)

TUTORS = Roster(
    resource="tutor",
    resources="tutors",
    resource_table="tutors",
    resource_names=PERSON,
    skill=Choice(
        "topic",
        "topic",
        "topics",
        ("calculus", "chemistry", "essay writing", "programming", "statistics"),
        "for {}",
    ),
    rate=Number("hourly_rate", "hourly rate", 14, 70, 1, "pounds"),
    capacity=Number("max_students", "group limit", 3, 20),
    request="study group",
    requests="study groups",
    request_table="study_groups",
    request_names=Namer(("group {thing}", "group {last}", "the {adj} {thing}s")),
    need="members",
    need_label="number of members",
    surcharge=Number("room_rate", "hourly room rate", 1, 22, 1, "pounds"),
    booking="tutorial",
    booking_table="tutorials",
    verb="place",
    past="placed",
    contexts=(
        "Study groups of a university look for tutors.",
        "You match study groups with tutors before the exams.",
        "The tutoring office of a college has open requests.",
    ),
)

SEMINARS = Calendars(
    person="lecturer",
    people="lecturers",
    people_table="lecturers",
    role=Choice(
        "chair",
        "chair",
        "chairs",
        ("Dahlem", "Euler", "Franklin", "Noether", "Turing"),
        "of the {} chair",
    ),
    entry="class",
    entry_table="classes",
    entry_titles=("Lecture", "Office hours", "Practical", "Seminar", "Thesis talk"),
    room="seminar room",
    rooms="seminar rooms",
    room_table="seminar_rooms",
    room_names=Namer(("{last} Hall", "{thing} Hall", "Room {adj} {thing}")),
    capacity=Number("desks", "number of desks", 6, 60),
    fee=Number("hourly_charge", "hourly charge", 3, 66, 1, "pounds"),
    flags=(
        Flag("beamer", "has a projector", "has no projector"),
        Flag("recording", "can record talks", "cannot record talks"),
        Flag("step_free", "is free of steps", "is not free of steps"),
    ),
    event="examination",
    events="examinations",
    event_table="examinations",
    verb="set",
    titles=("Oral exam", "Viva", "Resit", "Thesis defence", "Colloquium"),
    contexts=(
        "You plan oral examinations at a university.",
        "Examiners of a university have full calendars.",
        "The examination office asks you for a time and a room.",
    ),
)

COURSES = Domain(
    "courses",
    "a university",
    catalogues=(MODULES,),
    records=(ENROLMENTS,),
    rosters=(TUTORS,),
    calendars=(SEMINARS,),
)
