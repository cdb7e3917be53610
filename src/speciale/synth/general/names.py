"""Names of people, places and things, made by combining words so that they hardly repeat.

V3.2 report, 3.2.3: data for an environment, here made rather than found.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random


def _words(text: str) -> list[str]:
    return text.split()


FIRST = _words("""
    Ada Adrian Aisha Alma Amir Anders Anouk Arjun Astrid Bela Bianca Bruno Carla Cem Chiara
    Dagny Dario Dina Edda Elif Emil Esra Farah Felix Fiona Gideon Greta Hana Hector Ida Ilan
    Imke Ines Ivo Jana Jorge Jun Kaito Karin Kofi Laila Leif Lena Lior Lucia Magnus Maja Malik
    Marta Mei Milan Mina Nadia Niko Noor Olga Omar Otto Paula Petra Quentin Rania Remy Rosa
    Ruben Samira Sanne Selim Sofia Stella Tariq Tessa Tomas Ulla Uma Valentin Vera Viktor Wanda
    Yara Yusuf Zoe
""")
LAST = _words("""
    Abel Acheson Adeyemi Almeida Andersen Arslan Bakker Barros Becker Bergman Bianchi Blom
    Boateng Brandt Calder Castro Cohen Costa Dahl Danso Demir Dubois Eklund Engel Falk Farkas
    Ferrari Fischer Fontaine Garcia Gruber Haddad Halvorsen Hansen Hofer Horvat Ibrahim Ito
    Jansen Jensen Kaplan Keller Khan Kimura Kovacs Kraus Kumar Lang Laurent Lindgren Lopez Lund
    Maier Marin Mensah Moreau Nagy Nair Nielsen Novak Nyberg Okafor Olsen Osei Park Patel
    Peeters Petrov Quist Rahman Reyes Ricci Rossi Sato Schmid Silva Sorensen Suzuki Takeda Toth
    Ueda Vargas Vasquez Virtanen Vogel Wagner Weber Winther Yilmaz Zeller Zhou
""")
TOWN_A = _words("""
    Alder Amber Ash Barrow Beck Birch Black Bram Bright Brook Cold Copper Crow Dun Eagle East
    Elm Fair Falcon Fern Fox Glen Gold Grey Harrow Hart Hawk Hazel Heather High Holly Iron Kings
    Lake Lark Linden Long Maple Marsh Mill Moor North Oak Otter Pine Queens Raven Red Rose Rowan
    Salt Sand Silver South Stone Summer Swan Thorn West White Willow Winter Wolf
""")
TOWN_B = _words("""
    bridge brook burgh bury combe cross dale den field ford gate grove ham haven hill holm hurst
    ley march mere minster moor mouth ness pool port ridge shaw stead stow ton vale wick worth
""")
ADJECTIVES = _words("""
    Amber Ancient Azure Bold Brave Bright Calm Candid Clear Coral Cosy Crimson Crystal Daring
    Eager Early Ember Emerald Fabled Fair Fleet Gentle Gilded Golden Grand Happy Hidden Honest
    Humble Indigo Ivory Jade Jolly Keen Kindred Lively Lucky Lunar Mellow Merry Misty Modern
    Noble Nimble Olive Opal Patient Plain Polar Proud Quiet Rapid Royal Ruby Rustic Sable
    Scarlet Serene Silent Silver Simple Solar Steady Sunny Swift Tidal Tranquil True Velvet
    Violet Vivid Wandering Warm Wild Wise Witty Zesty
""")
THINGS = _words("""
    Acorn Anchor Anvil Arrow Badger Beacon Bell Bramble Bridge Canyon Cedar Cliff Clover Comet
    Compass Creek Crown Cypress Daisy Delta Dolphin Dove Dune Falcon Feather Fern Finch Fjord
    Forge Fountain Garden Glacier Harbour Harvest Heron Horizon Island Juniper Kestrel Lagoon
    Lantern Laurel Lighthouse Lily Lotus Lynx Magnet Magnolia Meadow Meteor Mirror Moon Mosaic
    Nectar Oasis Orchard Otter Pebble Pelican Phoenix Pillar Prairie Prism Quarry Quill Raven
    Reef Ridge River Robin Sail Sparrow Spruce Star Summit Thistle Tide Torch Trail Tulip Valley
    Walnut Wave Willow Wren
""")


@dataclass(frozen=True)
class Namer:
    """Names by patterns with the fields {adj} {thing} {town} {first} {last} {kind}; `kinds` are
    the words that {kind} stands for."""

    patterns: tuple[str, ...]
    kinds: tuple[str, ...] = ("",)


PERSON = Namer(("{first} {last}",))
TOWN = Namer(("{town}",))
COMPANY = Namer(
    ("{last} & {last2}", "{thing} {kind}", "{adj} {thing} {kind}", "{last} {kind}"),
    ("Group", "Partners", "Works", "Company", "Collective", "Brothers"),
)


@dataclass
class Names:
    """Draws names, none of them twice."""

    rng: Random
    used: set[str] = field(default_factory=set)

    def draw(self, namer: Namer, kind: str | None = None) -> str:
        for _ in range(1000):
            name = self.rng.choice(namer.patterns).format(
                adj=self.rng.choice(ADJECTIVES),
                thing=self.rng.choice(THINGS),
                town=self.rng.choice(TOWN_A) + self.rng.choice(TOWN_B),
                first=self.rng.choice(FIRST),
                last=self.rng.choice(LAST),
                last2=self.rng.choice(LAST),
                kind=kind or self.rng.choice(namer.kinds),
            )
            if name not in self.used:
                self.used.add(name)
                return name
        raise ValueError(f"{namer.patterns} give too few names")

    def many(self, namer: Namer, count: int) -> list[str]:
        return [self.draw(namer) for _ in range(count)]
