"""The domains that the procedural author knows, each with facets in its own words.

V3.2 report, 3.2.3: categories of worlds.
"""

from __future__ import annotations

from speciale.synth.general.domains.calendar import CALENDAR
from speciale.synth.general.domains.clinic import CLINIC
from speciale.synth.general.domains.courses import COURSES
from speciale.synth.general.domains.events import EVENTS
from speciale.synth.general.domains.finance import FINANCE
from speciale.synth.general.domains.fitness import FITNESS
from speciale.synth.general.domains.housing import HOUSING
from speciale.synth.general.domains.inventory import INVENTORY
from speciale.synth.general.domains.library import LIBRARY
from speciale.synth.general.domains.logistics import LOGISTICS
from speciale.synth.general.domains.recipes import RECIPES
from speciale.synth.general.domains.shop import SHOP
from speciale.synth.general.domains.support import SUPPORT
from speciale.synth.general.domains.travel import TRAVEL
from speciale.synth.general.spec import Domain

DOMAINS: tuple[Domain, ...] = (
    CALENDAR,
    CLINIC,
    COURSES,
    EVENTS,
    FINANCE,
    FITNESS,
    HOUSING,
    INVENTORY,
    LIBRARY,
    LOGISTICS,
    RECIPES,
    SHOP,
    SUPPORT,
    TRAVEL,
)
