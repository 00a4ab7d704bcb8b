"""The error catalogue of the mover, and which row tells which failure.

The texts that operators know from the guide are quoted as they are; what the
drive itself said goes to the log beside them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekit.errors import Catalogue
from tapekit.hookspecs.tape_driver import Condition

if TYPE_CHECKING:
    from tapekit.errors import TapekitError

__all__ = ["CATALOGUE", "DEFECTS", "read_failure", "write_failure"]

CATALOGUE: Final = Catalogue.of("mover", "tapekit_mover")

DEFECTS: Final = frozenset({Condition.MEDIUM_ERROR, Condition.HARDWARE_ERROR})
"""What a damaged drive or tape answers."""

_UNUSABLE: Final = frozenset({Condition.WRITE_PROTECTED, Condition.NOT_READY, Condition.NO_TAPE})


def write_failure(condition: Condition, *, is_new_tape: bool) -> TapekitError:
    """What an operator is told when writing stops for good.

    :param is_new_tape: whether nothing was written on this tape yet, and
        something was on another one before.
    """
    if condition is Condition.RESERVED:
        return CATALOGUE.error("reservation-preempted")
    if is_new_tape and condition is Condition.MEDIUM_ERROR:
        return CATALOGUE.error("new-tape-media-error")
    if is_new_tape and condition is Condition.END_OF_MEDIUM:
        return CATALOGUE.error("new-tape-at-end-of-media")
    if is_new_tape and condition in _UNUSABLE | DEFECTS:
        return CATALOGUE.error("new-tape-broken-or-write-protected")
    if condition in DEFECTS:
        return CATALOGUE.error("media-error-on-write")
    return CATALOGUE.error("tape-write-failed")


def read_failure(condition: Condition) -> TapekitError:
    """What an operator is told when reading stops for good."""
    if condition is Condition.RESERVED:
        return CATALOGUE.error("reservation-preempted")
    if condition is Condition.RECORD_TOO_LONG:
        return CATALOGUE.error("record-size-too-small")
    if condition is Condition.MEDIUM_ERROR:
        return CATALOGUE.error("media-error-on-read")
    return CATALOGUE.error("tape-read-error")
