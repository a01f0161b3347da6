"""Payloads on their way in and out."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidPayloadError
from core.payloads import DEPTH_MOST, decode, encode

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)  # fmt: skip


def nested(depth):
    """Return a list in a list in a list."""
    value = []
    for _ in range(depth):
        value = [value]
    return value


def nested_dict(depth):
    """Return a dict in a dict in a dict."""
    value = {}
    for _ in range(depth):
        value = {"k": value}
    return value


@given(JSON_VALUES)
def test_any_json_value_comes_back_as_it_was(value):
    """What goes in as JSON comes out equal."""
    assert decode(encode(value).encode()) == (value, True)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (math.nan, "nan is no JSON number"),
        ([1, {"a": math.inf}], "inf is no JSON number"),
        ({1: "a"}, "the key 1 is not text"),
        ({"a": {None: 1}}, "the key None is not text"),
        ({"a": object()}, "object is no JSON type"),
        (b"bytes", "bytes is no JSON type"),
        ({1, 2}, "set is no JSON type"),
        ("\ud800", "half a surrogate pair"),
        ({"\udfff": 1}, "half a surrogate pair"),
        pytest.param(10**5000, "digits", id="huge"),
        (nested(DEPTH_MOST + 1), "nested deeper"),
        (nested_dict(DEPTH_MOST + 1), "nested deeper"),
        ([math.nan, [1]], "nan is no JSON number"),
        ({"a": math.nan, "b": {"c": 1}}, "nan is no JSON number"),
    ],
)
def test_what_is_no_json_is_refused_with_the_reason(value, said):
    """Each value that JSON cannot hold gets an error that says what is wrong with it."""
    with pytest.raises(InvalidPayloadError, match=said):
        encode(value)


def test_payload_that_holds_itself_is_refused():
    """A container within itself ends with an error and not with an endless loop."""
    endless = []
    endless += [endless, endless]
    with pytest.raises(InvalidPayloadError, match="holds itself"):
        encode(endless)


def test_deepest_permitted_payload_is_encoded():
    """The limit of depth itself is permitted."""
    assert encode(nested(DEPTH_MOST)).count("[") == DEPTH_MOST + 1
    assert encode(nested_dict(DEPTH_MOST)).count("{") == DEPTH_MOST + 1


@pytest.mark.parametrize(
    ("stored", "returned"),
    [
        (b"{format:'video'}", "{format:'video'}"),
        (b"", ""),
        (b"NaN", "NaN"),
        (b"[" * 5000, "[" * 5000),
        (b"\xff\xfe", b"\xff\xfe"),
    ],
)
def test_payload_of_another_client_that_is_no_json_is_returned_as_it_is(stored, returned):
    """What cannot be decoded reaches the worker unchanged, and is said to be no JSON."""
    assert decode(stored) == (returned, False)
