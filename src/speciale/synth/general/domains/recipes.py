"""Recipes: dishes and cookbooks, kitchens and deliveries, cooks for hire, tasting evenings.

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

DISHES = Catalogue(
    noun="recipe",
    plural="recipes",
    table="recipes",
    names=Namer(
        ("{adj} {kind}", "{town} {kind}", "{last}'s {kind}", "{thing} {kind}"),
        ("Bake", "Broth", "Curry", "Cake", "Pie", "Salad", "Stew", "Tart", "Rolls"),
    ),
    group=Choice(
        "course",
        "course",
        "courses",
        ("breakfast", "bread", "dessert", "main dish", "salad", "sauce", "soup", "starter"),
        "for the course {}",
    ),
    maker=Maker(
        noun="cookbook",
        plural="cookbooks",
        table="cookbooks",
        by="taken from",
        fee=Number("spice_kit", "price of the spice kit", 0, 24, 1, "euros"),
        choice=Choice(
            "cuisine",
            "cuisine",
            "cuisines",
            ("Georgian", "Greek", "Indian", "Mexican", "Thai"),
            "on {} cuisine",
        ),
        flags=(
            Flag("photos", "has photos", "has no photos"),
            Flag("prize", "has won a prize", "has won no prize"),
        ),
        names=Namer(
            (
                "The {adj} Kitchen",
                "{thing} and Salt",
                "{last}'s Table",
                "The {thing} Cookbook",
                "{adj} {thing} Suppers",
            )
        ),
    ),
    cost=Number("cost_per_serving", "cost per serving", 2, 29, 1, "euros"),
    count=("serving", "servings", 4, 15),
    score=Number("votes", "number of votes", 20, 99),
    numbers=(
        Number("minutes", "cooking time", 10, 180, 5, "minutes"),
        Number("calories", "energy per serving", 90, 950, 10, "kcal"),
        Number("ingredients", "number of ingredients", 3, 22),
    ),
    flags=(
        Flag("vegan", "is vegan", "is not vegan"),
        Flag("nuts", "contains nuts", "contains no nuts"),
        Flag("gluten", "contains gluten", "contains no gluten"),
        Flag("freezes", "can be frozen", "cannot be frozen"),
    ),
    basket=Basket("menu_entries", "menu entry", "plan", "planned", "host"),
    contexts=(
        "{person} gives a dinner and cooks {count} of a recipe.",
        "{person} plans a menu: {count} of each recipe.",
        "You help {person} in the kitchen; {count} of everything are needed.",
        "The host {person} always makes {count}.",
    ),
)

DELIVERIES = Records(
    party="kitchen",
    parties="kitchens",
    party_table="kitchens",
    place=Choice("quarter", "quarter", "quarters", TOWN, "in the quarter {}"),
    tier=Choice(
        "kitchen_type", "type", "types", ("canteen", "family", "restaurant"), "of the type {}"
    ),
    record="delivery",
    records="deliveries",
    record_table="deliveries",
    prefix="D",
    kind="ingredient",
    kinds="ingredients",
    kind_table="ingredients",
    kind_names=("butter", "flour", "lentils", "mushrooms", "olive oil", "rice", "salmon"),
    rule="times",
    rate=Number("price_per_kg", "price per kilogram", 2, 39, 1, "euros"),
    date="delivered_on",
    dated="was delivered",
    amount=Number("kilograms", "weight", 2, 60, 1, "kilograms"),
    open_status="fresh",
    other_statuses=("used", "spoiled", "frozen"),
    due="value",
    actions=(Action("discard", "spoiled"), Action("freeze", "frozen")),
    charge="reimbursement",
    charge_table="reimbursements",
    contexts=(
        "You look after the stores of several kitchens; today is {today}.",
        "It is {today}: time to clear the larders.",
        "Inspection day, {today}: the deliveries of some kitchens are looked at.",
    ),
    party_names=Namer(
        ("{thing} Kitchen", "{last}'s Kitchen", "The {adj} {kind}"),
        ("Spoon", "Ladle", "Pot", "Oven"),
    ),
)

COOKS = Roster(
    resource="cook",
    resources="cooks",
    resource_table="cooks",
    resource_names=PERSON,
    skill=Choice(
        "style", "style", "styles", ("barbecue", "French", "Japanese", "pastry", "vegan"), "for {}"
    ),
    rate=Number("hourly_pay", "hourly pay", 18, 85, 1, "euros"),
    capacity=Number("max_guests", "limit of guests", 6, 60),
    request="dinner",
    requests="dinners",
    request_table="dinners",
    request_names=Namer(("{last} party", "{town} supper", "{adj} {thing} dinner")),
    need="guests",
    need_label="number of guests",
    surcharge=Number("kitchen_rent", "hourly kitchen rent", 3, 35, 1, "euros"),
    booking="engagement",
    booking_table="engagements",
    verb="staff",
    past="staffed",
    contexts=(
        "A cook's agency has dinners to staff.",
        "You place hired cooks.",
        "Several hosts are waiting for a cook.",
    ),
)

TASTINGS = Calendars(
    person="chef",
    people="chefs",
    people_table="chefs",
    role=Choice(
        "station", "station", "stations", ("cold", "grill", "pastry", "sauce"), "of the {} station"
    ),
    entry="service",
    entry_table="services",
    entry_titles=("Lunch service", "Market", "Prep", "Stocktaking", "Supplier visit"),
    room="test kitchen",
    rooms="test kitchens",
    room_table="test_kitchens",
    room_names=Namer(("{thing} Kitchen", "{adj} Hearth", "{town} Kitchen")),
    capacity=Number("burners", "number of burners", 4, 24),
    fee=Number("hourly_rent", "hourly rent", 9, 90, 1, "euros"),
    flags=(
        Flag("tandoor", "has a clay oven", "has no clay oven"),
        Flag("blast_chiller", "has a blast chiller", "has no blast chiller"),
        Flag("camera", "has a camera", "has no camera"),
    ),
    event="tasting",
    events="tastings",
    event_table="tastings",
    verb="schedule",
    titles=("Autumn menu", "Bread trial", "New desserts", "Sauce test", "Guest chef"),
    contexts=(
        "The chefs of a restaurant want to cook together.",
        "You plan the test kitchens of a food magazine.",
        "A tasting needs chefs and a kitchen at the same time.",
    ),
)

RECIPES = Domain(
    "recipes",
    "a recipe collection",
    catalogues=(DISHES,),
    records=(DELIVERIES,),
    rosters=(COOKS,),
    calendars=(TASTINGS,),
)
