"""Times as queue files hold them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.timestamps import compares_as_text, from_datetime, parse, to_datetime, to_text

MOMENT_MS = 1_762_353_022_000  # 2025-11-05 14:30:22 UTC
MOMENTS = st.integers(min_value=100_000_000_000, max_value=99_999_999_999_999)


@pytest.mark.parametrize(
    ("value", "expected_ms"),
    [
        ("2025-11-05 14:30:22", MOMENT_MS),
        ("2025-11-05 14:30:22.5", MOMENT_MS + 500),
        ("2025-11-05 14:30:22.123456", MOMENT_MS + 123),
        ("2025-11-05 14:30:22,123", MOMENT_MS + 123),
        ("2025-11-05 14:30", MOMENT_MS - 22_000),
        ("2025-11-05T14:30:22", MOMENT_MS),
        ("2025-11-05T14:30:22Z", MOMENT_MS),
        ("2025-11-05T14:30:22.250z", MOMENT_MS + 250),
        ("2025-11-05T14:30:22+00:00", MOMENT_MS),
        ("2025-11-05 16:30:22+02:00", MOMENT_MS),
        ("2025-11-05T09:00:22-0530", MOMENT_MS),
        ("  2025-11-05 14:30:22 ", MOMENT_MS),
        (MOMENT_MS // 1000, MOMENT_MS),
        (MOMENT_MS / 1000 + 0.25, MOMENT_MS + 250),
        (MOMENT_MS, MOMENT_MS),
        (str(MOMENT_MS // 1000), MOMENT_MS),
        (100_000_000, 100_000_000_000),
        (100_000_000_000, 100_000_000_000),
        (99_999_999_999_999, 99_999_999_999_999),
    ],
)
def test_every_format_of_the_field_means_its_moment(value, expected_ms):
    """Each way that programs write one moment is read as that moment."""
    assert parse(value) == expected_ms


@pytest.mark.parametrize(
    "value",
    [
        None, True, "", " ", "soon", "2025-13-05 14:30:22", "2025-02-30 14:30:22",
        "2025-11-05 24:30:22", "2025-11-05", "2025-11-05 14:30:22+99:99", "05.11.2025 14:30",
        "\uff12025-11-05 14:30:22", 0, -1, 12, 99_999_999, 10**14, 10**15,
        float("nan"), float("inf"), b"2025",
        "9" * 40, "2025-11-05 14:30:22+24:00", "0000-01-01 00:00:00", "0001-01-01 00:00:00+02:00",
    ],
)  # fmt: skip
def test_what_is_no_time_is_told_as_unreadable(value):
    """Nothing that is no time gets a moment, and nothing raises."""
    assert parse(value) is None


@given(MOMENTS)
def test_what_the_core_writes_it_reads_back_to_the_millisecond(moment_ms):
    """Writing a moment and reading it loses nothing."""
    assert parse(to_text(moment_ms)) == moment_ms
    assert compares_as_text(to_text(moment_ms))
    assert from_datetime(to_datetime(moment_ms)) == moment_ms


@given(MOMENTS, MOMENTS)
def test_text_order_is_time_order_in_the_core_s_own_format(first_ms, second_ms):
    """Two moments compare as text as they do in time."""
    assert (to_text(first_ms) < to_text(second_ms)) == (first_ms < second_ms)


@given(st.one_of(st.text(max_size=40), st.integers(), st.floats(), st.binary(max_size=30)))
def test_reading_never_raises(value):
    """Whatever a column holds, reading it gives a moment or None."""
    moment_ms = parse(value)
    assert moment_ms is None or isinstance(moment_ms, int)
    assert compares_as_text(value) in {True, False}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2025-11-05 14:30:22", True),
        ("2025-11-05 14:30:22.123", True),
        ("2025-11-05T14:30:22", False),
        ("2025-11-05 14:30:22Z", False),
        ("2025-11-05 14:30:22+00:00", False),
        ("2025-11-05 14:30:22,123", False),
        ("2025-11-05 14:30:22 ", False),
        ("2025-11-05 14:30", False),
        ("2025-02-30 14:30:22", False),
        (MOMENT_MS, False),
    ],
)
def test_only_the_plain_format_is_said_to_compare_as_text(value, expected):
    """A format whose text order may differ from its time order is never called comparable."""
    assert compares_as_text(value) is expected


def test_naive_datetime_is_taken_as_utc_and_an_aware_one_is_converted():
    """Local time never slips in."""
    naive = datetime(2025, 11, 5, 14, 30, 22)  # noqa: DTZ001 - the subject of the test
    east = datetime(2025, 11, 5, 16, 30, 22, tzinfo=timezone(timedelta(hours=2)))

    assert from_datetime(naive) == from_datetime(east) == MOMENT_MS
    assert to_datetime(MOMENT_MS).tzinfo is UTC


def test_what_is_finer_than_a_millisecond_is_cut_off():
    """A moment is a whole number of milliseconds, never one ahead."""
    moment = datetime(1970, 1, 1, 0, 0, 0, 1999, tzinfo=UTC)
    assert (from_datetime(moment), type(from_datetime(moment))) == (1, int)
