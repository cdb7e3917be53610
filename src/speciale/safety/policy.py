"""What the content filter checks, and what it does about it: the operator's choices, as one table.

The defaults are those of Azure's deployments: all four categories filtered from medium on, both
directions, text released only when vetted, and closed when a classifier fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from speciale.errors import ConfigError

Threshold = Literal["low", "medium", "high", "off"]
Mode = Literal["on", "annotate", "off"]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Thresholds(_Table):
    """The severity from which each category is filtered; "off" only annotates it."""

    hate: Threshold = "medium"
    sexual: Threshold = "medium"
    violence: Threshold = "medium"
    self_harm: Threshold = "medium"


class Blocklist(_Table):
    """Phrases and patterns under one name; `path` is a file with one a line, see blocklists.py."""

    name: str = Field(pattern=r"^[0-9A-Za-z._~-]{1,64}$")
    path: Path | None = None
    phrases: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    whole_words: bool = True


class AzureService(_Table):
    """Azure AI Content Safety, or whatever speaks its API at `endpoint`."""

    kind: Literal["azure"]
    endpoint: str
    key_env: str = "CONTENT_SAFETY_KEY"  # the environment variable that holds the key


class GuardService(_Table):
    """A guard model behind an OpenAI-compatible `url` (which ends in /v1)."""

    kind: Literal["guard"]
    url: str
    model: str
    key_env: str | None = None
    answers: Literal["llama-guard", "json"] = "llama-guard"


Service = Annotated[AzureService | GuardService, Field(discriminator="kind")]


class Policy(_Table):
    """One deployment's content filter."""

    enabled: bool = True
    annotate_only: bool = False  # everything is detected and reported, nothing filtered
    prompt: Thresholds = Thresholds()
    completion: Thresholds = Thresholds()
    jailbreak: Mode = "on"  # user prompts
    indirect_attack: Mode = "on"  # documents and tool results
    profanity: Mode = "annotate"
    protected_material: Mode = "on"  # completions
    blocklists: tuple[Blocklist, ...] = ()
    protected: tuple[Path, ...] = ()  # folders of texts and code, or index files made from them
    classifier: Literal["embedded", "none"] | Service = "embedded"
    timeout_s: float = Field(default=10.0, gt=0)  # of 10,000 characters; longer ones in proportion
    fail: Literal["closed", "open"] = "closed"  # when a classifier fails or takes too long
    streaming: Literal["buffered", "asynchronous"] = "buffered"


def read_policy(table: Mapping[str, Any], folder: Path = Path()) -> Policy:
    """The policy of a TOML table; relative paths in it count from `folder`.

    Raises ConfigError that names each wrong key with its value.
    """
    try:
        policy = Policy.model_validate(dict(table))
    except ValidationError as error:
        raise ConfigError(f"The content filter's {_what(error)}: mend the table.") from None
    names = [blocklist.name for blocklist in policy.blocklists]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"Two block lists are called {twice[0]!r}: give each its own name.")
    lists = tuple(
        item.model_copy(update={"path": folder / item.path}) if item.path else item
        for item in policy.blocklists
    )
    protected = tuple(folder / path for path in policy.protected)
    return policy.model_copy(update={"blocklists": lists, "protected": protected})


def _what(error: ValidationError) -> str:
    """`threshold prompt.hate is 'hgih' (Input should be ...)`, for each thing that is wrong."""
    wrong = []
    for item in error.errors(include_url=False):
        key = ".".join(str(part) for part in item["loc"])
        value = "" if item["type"] == "missing" else f" is {item['input']!r}"
        wrong.append(f"{key}{value} ({item['msg']})")
    return "; ".join(wrong)
