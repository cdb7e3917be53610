"""Shop: products and brands, customers and orders.

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
    Number,
    Records,
    Roster,
)

PRODUCTS = Catalogue(
    noun="product",
    plural="products",
    table="products",
    names=Namer(
        ("{adj} {thing}", "{last} {thing}", "{thing} {kind}", "{adj} {thing} {kind}"),
        ("Mini", "Pro", "One", "Classic", "Plus", "Go", "Max", "Lite"),
    ),
    group=Choice(
        "department",
        "department",
        "departments",
        (
            "desk lamps",
            "kettles",
            "backpacks",
            "headphones",
            "rain jackets",
            "tents",
            "toasters",
            "running shoes",
            "suitcases",
            "water bottles",
            "fans",
            "pans",
        ),
        "filed under {}",
    ),
    maker=Maker(
        noun="brand",
        plural="brands",
        table="brands",
        by="made by",
        fee=Number("shipping_fee", "shipping fee", 0, 15, 1, "dollars"),
        choice=Choice(
            "region",
            "region",
            "regions",
            ("Asia", "Europe", "North America", "South America", "Africa"),
            "from {}",
        ),
        flags=(
            Flag("repairs", "offers repairs", "offers no repairs"),
            Flag("fair_trade", "is certified for fair trade", "is not certified for fair trade"),
        ),
    ),
    cost=Number("price", "price", 9, 140, 1, "dollars"),
    count=("piece", "pieces", 2, 8),
    score=Number("rating", "rating", 30, 100),
    numbers=(
        Number("weight_g", "weight", 100, 3000, 20, "grams"),
        Number("warranty_months", "warranty", 6, 60, 6, "months"),
        Number("in_stock", "stock", 8, 90),
    ),
    flags=(
        Flag("recyclable", "is recyclable", "is not recyclable"),
        Flag("gift_wrap", "can be gift-wrapped", "cannot be gift-wrapped"),
        Flag("on_sale", "is on sale", "is not on sale"),
    ),
    choice=Choice(
        "colour",
        "colour",
        "colours",
        ("black", "blue", "green", "red", "white"),
        "whose colour is {}",
    ),
    basket=Basket("order_lines", "order line", "order", "ordered", "customer"),
    contexts=(
        "{person} orders for an office, always {count} of a kind.",
        "A customer called {person} buys {count} of whatever is chosen.",
        "You are the shopping assistant of {person}, who needs {count} of each thing.",
        "{person} is fitting out a club house and takes {count} of everything.",
    ),
)

ORDERS = Records(
    party="customer",
    parties="customers",
    party_table="customers",
    place=Choice("town", "town", "towns", TOWN, "in {}"),
    tier=Choice(
        "status_card", "status card", "status cards", ("blue", "silver", "gold"), "with the {} card"
    ),
    record="order",
    records="orders",
    record_table="orders",
    prefix="R",
    kind="goods class",
    kinds="goods classes",
    kind_table="goods_classes",
    kind_names=("books", "clothing", "electronics", "furniture", "garden", "toys", "sports"),
    rule="share",
    rate=Number("refund_percent", "refund percentage", 20, 90, 5),
    date="ordered_on",
    dated="was placed",
    amount=Number("value", "value", 100, 1900, 100, "dollars"),
    open_status="open",
    other_statuses=("shipped", "delivered", "cancelled"),
    due="refund",
    actions=(Action("cancel", "cancelled"), Action("ship", "shipped")),
    charge="credit",
    charge_table="credits",
    contexts=(
        "You run the back office of a shop; today is {today}.",
        "It is {today}, and the shop's order book needs attention.",
        "Today ({today}) a supplier has failed and customer service has questions.",
    ),
)

COURIERS = Roster(
    resource="courier",
    resources="couriers",
    resource_table="couriers",
    resource_names=PERSON,
    skill=Choice(
        "zone", "zone", "zones", ("airport", "centre", "harbour", "hills", "suburbs"), "for {}"
    ),
    rate=Number("hourly_pay", "hourly pay", 12, 49, 1, "dollars"),
    capacity=Number("max_parcels", "limit of parcels", 10, 90),
    request="delivery round",
    requests="delivery rounds",
    request_table="delivery_rounds",
    request_names=Namer(("round {thing}", "round {last}", "the {adj} {thing} round")),
    need="parcels",
    need_label="number of parcels",
    surcharge=Number("van_cost", "hourly van cost", 2, 28, 1, "dollars"),
    booking="tour",
    booking_table="tours",
    verb="assign",
    past="assigned",
    contexts=(
        "An online shop sends out its parcels.",
        "Delivery rounds of a shop have no courier yet.",
        "You are in charge of a shop's deliveries.",
    ),
)

SHOP = Domain(
    "shop", "an online shop", catalogues=(PRODUCTS,), records=(ORDERS,), rosters=(COURIERS,)
)
