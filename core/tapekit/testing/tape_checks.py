"""Whether a tape drive keeps the contract of :class:`TapeDrive`.

Small scripts, each on a fresh tape, then random walks beside a drive in
memory, then scripts for tapes that only their author can make. The one
rule: a drive that passes can be trusted by a mover that knows nothing but
the contract.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from tapekit.hookspecs.tape_driver import TapeError
from tapekit.testing.expecting import title
from tapekit.testing.tape_limits import (
    check_end_of_medium,
    check_full_tape_takes_marks,
    check_no_tape,
    check_protected,
    check_reopened,
    prepare_reopen,
)
from tapekit.testing.tape_motion import MOTION_CHECKS
from tapekit.testing.tape_walk import walk
from tapekit.testing.tape_writing import WRITING_CHECKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tapekit.hookspecs.tape_driver import TapeDrive

__all__ = ["TapeTrial", "check_tape_drive", "tape_trials"]

_WALKS: Final = 4


def check_tape_drive(
    make_drive: Callable[[], TapeDrive],
    *,
    reopen: Callable[[], TapeDrive] | None = None,
    small_tape: Callable[[], TapeDrive] | None = None,
    protected_tape: Callable[[], TapeDrive] | None = None,
    empty_drive: Callable[[], TapeDrive] | None = None,
) -> None:
    """Claim everything that the contract of :class:`TapeDrive` promises.

    :param make_drive: a fresh drive at each call, with an empty writable
        tape of at least 4 MiB; the one before has been closed.
    :param reopen: opens the drive again that ``make_drive`` gave last and
        that has been closed since.
    :param small_tape: a fresh drive with an empty tape of at most 64 MiB,
        with room for some 16 KiB records behind its early warning.
    :param protected_tape: a fresh drive with a write-protected tape.
    :param empty_drive: a fresh drive without a tape.
    :raises AssertionError: naming the first claim that does not hold.
    """
    for trial in tape_trials(
        make_drive,
        reopen=reopen,
        small_tape=small_tape,
        protected_tape=protected_tape,
        empty_drive=empty_drive,
    ):
        trial.run()


class TapeTrial(NamedTuple):
    """One check of a drive."""

    name: str
    """What it is about, in a few words."""
    run: Callable[[], None]
    """Runs it; raises :class:`AssertionError` as :func:`check_tape_drive` does."""


def tape_trials(
    make_drive: Callable[[], TapeDrive],
    *,
    reopen: Callable[[], TapeDrive] | None = None,
    small_tape: Callable[[], TapeDrive] | None = None,
    protected_tape: Callable[[], TapeDrive] | None = None,
    empty_drive: Callable[[], TapeDrive] | None = None,
) -> Iterator[TapeTrial]:
    """The checks of :func:`check_tape_drive` one by one, to be run in their
    order, for whoever wants to know all that fail. Parameters are the same.
    """
    for check in (*WRITING_CHECKS, *MOTION_CHECKS):
        yield TapeTrial(title(check), partial(_run, make_drive, check))
    for number in range(_WALKS):
        yield TapeTrial(f"random walk {number}", partial(_walk, make_drive, number))
    if reopen is not None:
        yield TapeTrial("reopened", partial(_reopen, make_drive, reopen))
    if small_tape is not None:
        for check in (check_end_of_medium, check_full_tape_takes_marks):
            yield TapeTrial(title(check), partial(_run, small_tape, check))
    if protected_tape is not None:
        yield TapeTrial(title(check_protected), partial(_run, protected_tape, check_protected))
    if empty_drive is not None:
        yield TapeTrial(title(check_no_tape), partial(_run, empty_drive, check_no_tape))


def _reopen(make: Callable[[], TapeDrive], reopen: Callable[[], TapeDrive]) -> None:
    _run(make, prepare_reopen)
    _run(reopen, check_reopened)


def _walk(make: Callable[[], TapeDrive], number: int) -> None:
    with _using(make, "random walk") as drive:
        walk(drive, number)


def _run(make: Callable[[], TapeDrive], check: Callable[[TapeDrive], None]) -> None:
    with _using(make, title(check)) as drive:
        check(drive)


@contextmanager
def _using(make: Callable[[], TapeDrive], what: str) -> Iterator[TapeDrive]:
    """A drive that is closed afterwards; claims that fail tell the script."""
    drive = make()
    try:
        yield drive
    except (AssertionError, TapeError) as error:
        raise AssertionError(f"{what}: {error}") from error
    finally:
        drive.close()
