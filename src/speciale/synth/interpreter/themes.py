"""What the data files are about: names of files, columns, kinds and places, for each theme."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Theme:
    """Rows (`facts`) of `kinds` at `sites`, each with an amount in one of two units."""

    name: str
    facts: str  # the file, without its ending
    one: str  # what a row is
    many: str
    id: str  # columns of the facts
    date: str
    site: str
    kind: str
    amount: str
    units: tuple[tuple[str, int], tuple[str, int]]  # large and small, the small one's number is 1
    kinds: tuple[str, ...]
    sites: str  # the file of sites, without its ending
    place: str  # what a site is
    region: str  # columns of the sites
    regions: tuple[str, ...]
    size: str
    void: str  # the status of a row that does not count
    stems: tuple[str, ...]  # of the sites' names


_NORTH = ("Aldern", "Birkholm", "Corvale", "Dunmere", "Estrand", "Fenwick", "Garlow", "Hollin",
          "Ivermoor", "Jarrow", "Kestrel", "Larkhill", "Marlow", "Norwick", "Oakham", "Penrith",
          "Quorn", "Ravensby", "Selby", "Thornton", "Ulverston", "Vexford", "Wexcombe",
          "Yarrow")  # fmt: skip
_SOUTH = ("Alba", "Bruna", "Cardo", "Dorna", "Elvira", "Fonta", "Gravina", "Isola", "Lerma",
          "Molina", "Nerja", "Olmedo", "Palma", "Quero", "Ronda", "Segura", "Talavera", "Utrera",
          "Vega", "Zafra")  # fmt: skip
KILO = (("kg", 1000), ("g", 1))
KILOWATT = (("kWh", 1000), ("Wh", 1))
KILOMETRE = (("km", 1000), ("m", 1))
LITRE = (("l", 1000), ("ml", 1))
HOUR = (("h", 3600), ("s", 1))

THEMES = (
    Theme("market", "sales", "sale", "sales", "sale_id", "sold_on", "stall", "produce", "weight",
          KILO, ("apples", "pears", "plums", "carrots", "onions", "leeks"), "stalls", "stall",
          "district", ("Harbour", "Old Town", "Hillside", "Riverside", "Station"), "area_m2",
          "refunded", _NORTH),
    Theme("energy", "readings", "reading", "readings", "reading", "read_on", "meter", "circuit",
          "energy", KILOWATT, ("heating", "lighting", "cooling", "machines", "kitchen"), "meters",
          "meter", "building", ("North Wing", "South Wing", "Annex", "Tower", "Workshop"),
          "floor_m2", "faulty", _SOUTH),
    Theme("bikes", "trips", "trip", "trips", "trip_id", "day", "station", "bike_type", "distance",
          KILOMETRE, ("city", "cargo", "electric", "tandem", "folding"), "stations", "station",
          "borough", ("Eastgate", "Westbridge", "Northfield", "Southbank", "Centre", "Docks"),
          "racks", "test", _NORTH),
    Theme("dairy", "deliveries", "delivery", "deliveries", "delivery_no", "delivered", "farm",
          "grade", "volume", LITRE, ("whole", "skimmed", "organic", "goat", "buttermilk"), "farms",
          "farm", "valley", ("Upper Vale", "Lower Vale", "Sunny Side", "Moor", "Coast"), "cows",
          "rejected", _SOUTH),
    Theme("phones", "calls", "call", "calls", "call_ref", "made_on", "branch", "topic", "duration",
          HOUR, ("billing", "moving", "faults", "contracts", "roaming", "praise"), "branches",
          "branch", "country", ("Norland", "Suderia", "Ostmark", "Westmere", "Midland"), "staff",
          "dropped", _NORTH),
    Theme("post", "parcels", "parcel", "parcels", "parcel_no", "posted", "depot", "service",
          "mass", KILO, ("letter", "express", "bulky", "registered", "economy"), "depots", "depot",
          "zone", ("Red", "Blue", "Green", "Amber"), "vans", "returned",
          _SOUTH),
    Theme("rivers", "samples", "sample", "samples", "sample_id", "taken", "gauge", "method",
          "sediment", KILO, ("bottle", "pump", "net", "trap", "core"), "gauges", "gauge", "river",
          ("Arle", "Brent", "Cole", "Dove", "Exe"), "depth_cm", "spoiled", _NORTH),
    Theme("fibre", "repairs", "repair", "repairs", "job", "done_on", "team", "cause", "cable",
          KILOMETRE, ("digger", "storm", "rodent", "age", "fire", "theft"), "teams", "team",
          "province", ("Altona", "Brenta", "Cadore", "Drava", "Enza"), "members", "withdrawn",
          _SOUTH),
)  # fmt: skip
