"""The checker of histories finds what it is there to find."""

from __future__ import annotations

from tests.faults.history import Look, Move, Register


def register(*entries: Move | Look) -> Register:
    """A history."""
    made = Register("a:v")
    for entry in entries:
        made.add(entry)
    return made


FIRST, LOST, THIRD = Move(1, 0, 1, True), Move(2, 2, 3, False), Move(3, 4, 5, True)


def test_what_one_registry_could_have_told() -> None:
    assert (
        register(
            FIRST,
            LOST,
            THIRD,
            Look(0, 0.1, 0.5),
            Look(1, 0.5, 1.5),
            Look(1, 2.5, 3.5),
            Look(2, 4.1, 4.2),
            Look(3, 4.3, 6),
        ).problems()
        == []
    )


def test_a_stale_read() -> None:
    assert "read 1 where 3 was known" in register(FIRST, LOST, THIRD, Look(1, 5.1, 5.2)).problems()[0]


def test_a_lost_write() -> None:
    assert "read 0 where 1 was known" in register(FIRST, Look(0, 1.5, 1.6)).problems()[0]


def test_going_back() -> None:
    """An outcome that nobody knew is known once somebody saw it."""
    assert "read 1 where 2 was known" in register(FIRST, LOST, Look(2, 2.5, 2.6), Look(1, 2.7, 2.8)).problems()[0]


def test_a_move_that_happens_after_a_later_one() -> None:
    assert "read 2 where 3 was known" in register(FIRST, LOST, THIRD, Look(3, 5.1, 5.2), Look(2, 6, 7)).problems()[0]


def test_the_future() -> None:
    assert "nobody had written beyond 1" in register(FIRST, Look(2, 1.5, 1.6), LOST).problems()[0]
