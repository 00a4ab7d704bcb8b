"""Whether a tape drive keeps the contract of :class:`TapeDrive`.

Small scripts, each on a fresh tape, then random walks beside a drive in
memory, then scripts for tapes that only their author can make. The one
rule: a drive that passes can be trusted by a mover that knows nothing but
the contract.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

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

__all__ = ["check_tape_drive"]

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
    for check in (*WRITING_CHECKS, *MOTION_CHECKS):
        _run(make_drive, check)
    for number in range(_WALKS):
        with _using(make_drive, "random walk") as drive:
            walk(drive, number)
    if reopen is not None:
        _run(make_drive, prepare_reopen)
        _run(reopen, check_reopened)
    if small_tape is not None:
        _run(small_tape, check_end_of_medium)
        _run(small_tape, check_full_tape_takes_marks)
    if protected_tape is not None:
        _run(protected_tape, check_protected)
    if empty_drive is not None:
        _run(empty_drive, check_no_tape)


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
