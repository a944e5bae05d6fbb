"""Waits after failed guesses, second by second."""

from __future__ import annotations

import pytest

from menulens.local.lockout import LockedError, Lockout


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lockout(clock: Clock) -> Lockout:
    return Lockout(clock)


def _fail(lockout: Lockout, times: int) -> None:
    for _ in range(times):
        lockout.failed("aki")


def _locked(lockout: Lockout, name: str) -> bool:
    try:
        lockout.check(name)
    except LockedError:
        return True
    return False


def should_let_four_failures_pass(lockout: Lockout) -> None:
    _fail(lockout, 4)
    assert not _locked(lockout, "aki")
    _fail(lockout, 1)
    assert _locked(lockout, "aki")


@pytest.mark.parametrize(("failures", "seconds"), [(5, 1), (6, 2), (7, 4), (10, 32), (14, 512), (15, 900), (40, 900)])
def should_double_the_wait_up_to_fifteen_minutes(lockout: Lockout, clock: Clock, failures: int, seconds: float) -> None:
    _fail(lockout, failures)
    clock.now += seconds - 0.1
    with pytest.raises(LockedError) as caught:
        lockout.check("aki")
    assert caught.value.seconds == pytest.approx(0.1)
    clock.now += 0.1
    lockout.check("aki")


def should_forget_after_a_success_or_fifteen_quiet_minutes(lockout: Lockout, clock: Clock) -> None:
    _fail(lockout, 9)
    assert _locked(lockout, "aki")
    lockout.succeeded("aki")
    assert not _locked(lockout, "aki")
    _fail(lockout, 9)
    clock.now += 901
    lockout.failed("aki")
    assert not _locked(lockout, "aki")


def should_lock_one_name_and_not_another(lockout: Lockout) -> None:
    _fail(lockout, 9)
    assert _locked(lockout, "aki")
    assert not _locked(lockout, "ben")
