"""Which backups a policy keeps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gati_registry.moving.backup import Keep

START = datetime(2030, 1, 1, tzinfo=UTC)


def name(hours: int) -> str:
    """A backup so many hours after the start."""
    return f"{START + timedelta(hours=hours):%Y-%m-%dT%H-%M-%S.%fZ}-abcdef"


NAMES = [name(hours) for hours in range(0, 24 * 60, 6)]


def test_nothing_said_keeps_all() -> None:
    assert Keep().choose(NAMES) == set(NAMES)


def test_the_newest_always_stays() -> None:
    assert Keep(monthly=1).choose(NAMES) == {NAMES[-1]}
    assert NAMES[-1] in Keep(weekly=1).choose(NAMES)


def test_the_last_ones_whatever_their_age() -> None:
    assert Keep(last=3).choose(NAMES) == set(NAMES[-3:])


def test_the_newest_of_each_period() -> None:
    assert Keep(daily=3).choose(NAMES) == {name(24 * day + 18) for day in (57, 58, 59)}
    assert Keep(hourly=2).choose(NAMES) == set(NAMES[-2:])
    # The last day is Friday, the first of March.
    assert Keep(weekly=2).choose(NAMES) == {NAMES[-1], name(24 * 54 + 18)}
    assert Keep(monthly=2).choose(NAMES) == {NAMES[-1], name(24 * 58 + 18)}


def test_periods_add_up() -> None:
    kept = Keep(last=2, daily=7, weekly=4, monthly=12).choose(NAMES)
    assert kept == (
        Keep(last=2).choose(NAMES)
        | Keep(daily=7).choose(NAMES)
        | Keep(weekly=4).choose(NAMES)
        | Keep(monthly=12).choose(NAMES)
    )
    assert len(kept) < 15
