"""Money as whole nano-dollars (10^-9 USD), so that sums are exact, and what a token costs in them.

A price of 0.028 USD per million tokens is 28 nano-dollars a token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow

from speciale.errors import ConfigError

NANO = 1_000_000_000  # nano-dollars in a dollar
# Its own, whatever a library does to the thread's.
_EXACT = Context(prec=40, traps=[Inexact, InvalidOperation, Overflow])
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


def parse_usd(text: str) -> int:
    """Nano-dollars of a positive amount such as "10" or "0.25"; ConfigError where it is none."""
    try:
        nano = _EXACT.multiply(Decimal(text), Decimal(NANO))
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
