"""SamplingParams: what is refused, and that the message names the key, its value and a way out."""

import math
from dataclasses import fields, replace

import pytest

from speciale.engine.params import _NUMBERS, SamplingParams
from speciale.errors import RequestError


def refusal(**values) -> str:
    with pytest.raises(RequestError) as caught:
        SamplingParams(**values)
    return str(caught.value)


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("max_tokens", [1, 10**9, None], [0, -1, 1.0, "5"]),
        ("temperature", [0, 0.0, 1e-5, 1, 2.5, 100], [-0.1, 1e-6, 101, None, "1", 10**400]),
        ("top_p", [1e-9, 0.5, 1, 1.0], [0, 1.0001, -1, None]),
        ("top_k", [0, 1, 10**6], [-1, 2.0, None]),
        ("min_p", [0, 0.999], [1, 1.0, -0.1, None]),
        ("presence_penalty", [-2, 0, 2.0], [-2.1, 3, None]),
        ("frequency_penalty", [-2, 0, 2.0], [-2.1, 3, None]),
        ("repetition_penalty", [0.01, 1, 1.3, 100], [0, -1, 1e-9, 101, 10**400, None]),
        ("seed", [None, 0, -1, 2**63 - 1, -(2**63)], [2**63, -(2**63) - 1, 1.0, "7"]),
        ("n", [1, 1024], [0, -2, 1025, 1.0, None]),
        ("min_tokens", [0, 256], [-1, 0.5, None]),
        ("logprobs", [None, 0, 20], [-1, 21, 1.0]),
        ("priority", [-5, 0, 7], [0.5, None, "high"]),
        ("deadline_s", [None, 0.001, 30], [0, -1, 2e9, "1"]),
    ],
)
def test_ranges_of_numbers(key, good, bad):
    for value in good:
        assert getattr(SamplingParams(**{key: value}), key) == value
    for value in bad:
        message = refusal(**{key: value})
        assert key in message and repr(value)[:50] in message and "give" in message


@pytest.mark.parametrize("key", _NUMBERS)
@pytest.mark.parametrize("value", [True, False, math.nan, math.inf, -math.inf])
def test_switches_and_odd_floats_are_no_numbers(key, value):
    assert f"{key} is {value!r}" in refusal(**{key: value})


@pytest.mark.parametrize("key", ["ignore_eos", "kept_set", "routing"])
@pytest.mark.parametrize("value", [0, 1, "true", None])
def test_numbers_are_no_switches(key, value):
    assert f"{key} is {value!r}: give true or false" in refusal(**{key: value})


def test_every_field_is_checked():
    checked = {"stop", "stop_ids", "ignore_eos", "kept_set", "routing", "grammar", *_NUMBERS}
    assert {field.name for field in fields(SamplingParams)} == checked


def test_stops_become_a_tuple():
    assert SamplingParams(stop="\n\n").stop == ("\n\n",)
    assert SamplingParams(stop=["a", "b"]).stop == ("a", "b")
    assert SamplingParams(stop_ids=[3, 0]).stop_ids == (3, 0)
    assert replace(SamplingParams(stop="a"), n=2).stop == ("a",)


@pytest.mark.parametrize("stop", ["", ["a", ""], [b"a"], 5, None, {"a"}, [["a"]]])
def test_odd_stops(stop):
    assert refusal(stop=stop).startswith("stop ")


@pytest.mark.parametrize("stop_ids", [5, None, [-1], [True], ["a"], [1.0], {1}])
def test_odd_stop_ids(stop_ids):
    assert refusal(stop_ids=stop_ids).startswith("stop_ids ")


def test_contradictions():
    assert "the same answer 4 times" in refusal(temperature=0, n=4)
    assert "min_tokens 9 is above max_tokens 8" in refusal(min_tokens=9, max_tokens=8)
    assert "ignore_eos" in refusal(ignore_eos=True, grammar="a+")
    # What looks odd and is not:
    SamplingParams(temperature=0, kept_set=True, top_p=0.5, seed=1)
    SamplingParams(min_tokens=8, max_tokens=8)
    SamplingParams(min_tokens=1000, max_tokens=None)


def test_the_message_of_a_huge_value_stays_short():
    assert len(refusal(top_k="x" * 10_000)) < 150
    assert len(refusal(temperature=10**5000)) < 200  # beyond the digits that Python writes


@pytest.mark.parametrize(
    ("values", "truncates"),
    [({}, False), ({"top_k": 5}, True), ({"top_p": 0.9}, True), ({"min_p": 0.1}, True)],
)
def test_truncates(values, truncates):
    assert SamplingParams(**values).truncates is truncates
