"""Money as whole nano-dollars (10^-9 USD), so that sums are exact, and what a token costs in them.

A price of 0.028 USD per million tokens is 28 nano-dollars a token; price files are TOML.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from speciale.errors import ConfigError

NANO = 1_000_000_000  # nano-dollars in a dollar
_LARGEST = 1_000_000_000 * NANO  # of one amount; a 64-bit column holds nine times as much


@dataclass(frozen=True, slots=True)
class Price:
    """Nano-dollars for one token: of the prompt, found in the cache or not, and of the answer."""

    cache_hit: int
    cache_miss: int
    output: int

    def cost(self, cache_hit_tokens: int, cache_miss_tokens: int, completion_tokens: int) -> int:
        """Nano-dollars of a request. Reasoning tokens are completion tokens."""
        return (
            cache_hit_tokens * self.cache_hit
            + cache_miss_tokens * self.cache_miss
            + completion_tokens * self.output
        )

    def answer_tokens(self, prompt_tokens: int, nano: int) -> int | None:
        """Tokens of answer that `nano` pays for beside an uncached prompt; None: any number.

        Negative where it does not pay for the prompt.
        """
        left = nano - self.cost(0, prompt_tokens, 0)
        if self.output == 0:
            return None if left >= 0 else -1
        return left // self.output


# DeepSeek-V3.2's list at its release: 0.028, 0.28 and 0.42 USD per million tokens
# (api-docs.deepseek.com/quick_start/pricing).
DEEPSEEK_V32 = Price(cache_hit=28, cache_miss=280, output=420)


@dataclass(frozen=True, slots=True)
class Prices:
    """A price for each model by name, and the default for all others."""

    default: Price = DEEPSEEK_V32
    models: Mapping[str, Price] = field(default_factory=dict)

    def of(self, model: str) -> Price:
        return self.models.get(model, self.default)


def read_prices(path: Path) -> Prices:
    """Reads a TOML file of prices in USD per million tokens; ConfigError says what is wrong in it.

    [default]                       # may be left out: DeepSeek-V3.2's list
    cache_hit = 0.028
    cache_miss = 0.28
    output = 0.42

    [models."my-model"]             # any number of these
    cache_hit = 0
    cache_miss = 0.1
    output = 0.2
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"), parse_float=Decimal)
    except OSError as error:
        raise ConfigError(
            f"The price table {path} could not be read ({error.strerror or error}): "
            "name a TOML file that you may read."
        ) from error
    except ValueError as error:  # not UTF-8, or not TOML
        raise ConfigError(f"The price table {path} is not TOML: {error}.") from error
    models = table.get("models", {})
    unknown = sorted(table.keys() - {"default", "models"})
    if unknown or not isinstance(models, dict):
        raise ConfigError(
            f"The price table {path} may hold [default] and [models.NAME], "
            f"not {unknown[0] if unknown else 'models as a value'!r}: correct that."
        )
    default = _price(table["default"], path, "default") if "default" in table else DEEPSEEK_V32
    return Prices(default, {name: _price(row, path, name) for name, row in models.items()})


def _price(row: object, path: Path, name: str) -> Price:
    wanted = ("cache_hit", "cache_miss", "output")
    if not isinstance(row, dict) or row.keys() != set(wanted):
        raise ConfigError(
            f"{path}: the price of {name!r} must have exactly {', '.join(wanted)} "
            "in USD per million tokens: correct that table."
        )
    return Price(*(per_token(row[key], f"{path}: {key} of {name!r}") for key in wanted))


def per_token(value: object, where: str) -> int:
    """Nano-dollars a token of a price in USD per million tokens, an int, Decimal or float.

    ConfigError, which begins with `where`, for anything that is not exact.
    """
    number = None if isinstance(value, bool) else value
    if isinstance(number, float):
        number = Decimal(repr(number))  # 0.28 as it is written, not the binary fraction beside it
    finite = isinstance(number, int) or (isinstance(number, Decimal) and number.is_finite())
    if finite and 0 <= number <= 1_000_000:
        nano = number * 1000  # USD per million tokens -> nano-dollars per token
        if nano == int(nano):
            return int(nano)
    raise ConfigError(
        f"{where} is {value}, not a multiple of 0.001 USD per million tokens from 0 to 1000000: "
        "round it."
    )


def parse_usd(text: str) -> int:
    """Nano-dollars of a positive amount such as "10" or "0.25"; ConfigError where it is none."""
    try:
        nano = Decimal(text) * NANO
        if 0 < nano <= _LARGEST and nano == int(nano):
            return int(nano)
    except (ArithmeticError, ValueError):  # no number, infinite, or of an absurd exponent
        pass
    raise ConfigError(
        f"{text!r} is not an amount in USD: give a number above 0 with at most nine decimals, "
        "such as 10 or 0.25."
    )


def format_usd(nano: int) -> str:
    """The exact amount with two decimals or as many as it needs: "9.99", "0.000028", "-0.50"."""
    whole, rest = divmod(abs(nano), NANO)
    decimals = f"{rest:09}".rstrip("0").ljust(2, "0")
    return f"{'-' if nano < 0 else ''}{whole}.{decimals}"
