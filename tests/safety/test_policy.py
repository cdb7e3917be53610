"""A policy is read from a TOML table, and what is wrong in it is named."""

import tomllib
from pathlib import Path

import pytest

from speciale.errors import ConfigError
from speciale.safety.policy import AzureService, Policy, read_policy

TABLE = """
annotate_only = true
prompt.hate = "low"
completion = { violence = "off" }
profanity = "on"
streaming = "asynchronous"
protected = ["songs"]

[classifier]
kind = "azure"
endpoint = "https://example.org"

[[blocklists]]
name = "codenames"
path = "lists/codenames.txt"
phrases = ["blue heron"]
"""


def test_a_table_becomes_a_policy():
    policy = read_policy(tomllib.loads(TABLE), Path("/etc/service"))
    assert policy.prompt.hate == "low" and policy.prompt.sexual == "medium"
    assert policy.completion.violence == "off"
    assert policy.annotate_only and policy.fail == "closed"
    assert isinstance(policy.classifier, AzureService)
    assert policy.blocklists[0].path == Path("/etc/service/lists/codenames.txt")
    assert policy.protected == (Path("/etc/service/songs"),)


def test_defaults_filter_from_medium_and_fail_closed():
    policy = Policy()
    assert set(policy.prompt.model_dump().values()) == {"medium"}
    assert policy.enabled and policy.fail == "closed" and policy.streaming == "buffered"
    assert policy.jailbreak == policy.indirect_attack == policy.protected_material == "on"
    assert policy.classifier == "embedded"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"prompt": {"hate": "hihg"}}, ["prompt.hate", "'hihg'"]),
        ({"anotate_only": True}, ["anotate_only"]),
        ({"classifier": {"kind": "azure"}}, ["endpoint"]),
        ({"classifier": "magic"}, ["classifier", "'magic'"]),
        ({"timeout_s": 0}, ["timeout_s is 0"]),
        ({"blocklists": [{"name": "a"}, {"name": "a"}]}, ["'a'"]),
        ({"blocklists": [{"name": "a/b"}]}, ["'a/b'"]),
    ],
)
def test_what_is_wrong_is_named(table, words):
    with pytest.raises(ConfigError) as caught:
        read_policy(table)
    assert all(word in str(caught.value) for word in words), str(caught.value)
