"""Short common words, of which a small vocabulary has most as one to three tokens.

Every value that a model has to copy comes from here or is a number of one or two digits.
"""

from __future__ import annotations

from random import Random


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


PEOPLE = _words("""
    Ann Ben Bob Cid Dan Dora Eva Fay Finn Gus Hal Ida Ivo Jan Jim Joe Kay Kim Lea Leo Liz Lou Max
    May Mia Ned Nora Oda Olga Otto Pam Pat Paul Pia Ray Rex Rob Rosa Roy Sam Sara Sid Sue Tara Ted
    Tim Tina Tom Ugo Una Vera Vic Wes Will Yan Yves Zack Zoe Alma Bert Carl Emma Fred Greta Hans
    Iris Jack Karl Lisa Mark Nils Oscar Peter Ruth Simon Tess Ursa Viola Walt Xenia Abel
""")
THINGS = _words("""
    pen cup hat key lamp ball book coat drum fork jar kite map net rope shoe spoon tent vase watch
    bag bell belt boat bowl box brush cap card chair clock comb desk dish doll fan flag glove harp
    knife ladder mask mirror nail needle pan pillow plate purse ring ruler saw scarf sock stamp
    stool table towel toy tray
""")
PLACES = _words("""
    attic barn cabin camp castle cave cellar chapel church court dock farm ferry fort garage garden
    gate hall harbour hill house hut inn island kitchen lake library market meadow mill mine museum
    office palace park pier pond port pub quarry river school shed shop stable station store street
    studio tower tunnel valley village villa wood yard zoo
""")
TOWNS = _words("""
    Bath Bern Bonn Cork Dover Essen Faro Genoa Hull Kiel Leeds Lima Linz Lyon Metz Milan Nice Oslo
    Oxford Paris Perth Pisa Porto Prague Riga Rome Siena Split Tunis Turin Ulm Vigo York
""")
COLOURS = _words("red blue green black white grey brown pink yellow orange purple gold silver")
FRUITS = _words("apple pear plum fig date lemon lime melon cherry grape mango peach banana kiwi")
METALS = _words("iron copper tin zinc lead steel brass nickel bronze silver gold chrome")
SPORTS = _words("golf chess judo polo tennis rugby hockey boxing rowing darts diving skiing")
ANIMALS = _words("""
    ducks geese goats cows pigs hens cats dogs mice bees owls crows foxes wolves bears deer hares
    frogs toads snakes
""")
PLANTS = _words("""
    oaks elms firs pines palms roses lilies tulips ferns beans peas leeks onions carrots herbs
    vines
""")
TREASURES = _words("""
    pearl ruby coin crown ring letter map rope bread cheese candle feather flute glass honey ink
    lamp mirror paint paper salt silk soap spice stone sugar sword tea wax wine wool
""")
UNITS = _words("""
    boxes bags cups jugs tins rolls packs crates sips drops bins rows lines pages sheets cards
    coins links bars beads blocks bricks bundles chests cans kegs flasks grains parts pieces
    stacks sticks strips tubes units wheels
""")


def numbers(rng: Random, count: int) -> list[int]:
    """Different numbers of two digits that name things, in a drawn order."""
    return rng.sample(range(11, 100), count)


def together(names: list[str]) -> str:
    """ "Ann", "Ann and Bob", "Ann, Bob and Cid"."""
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} and {names[-1]}"
