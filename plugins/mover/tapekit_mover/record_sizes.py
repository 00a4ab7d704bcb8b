"""Whether records have the size with which they are read.

A stream in records of another size comes back all the same as long as it is
read in order, but ranges of it are not found where they are looked for, so
an operator should know. The one rule: a short record is a mistake only if
another follows it, since the last one of a tape file may be of any length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit_mover.errors import CATALOGUE

if TYPE_CHECKING:
    from tapekit.errors import TapekitError
    from tapekit.hookspecs.tape_driver import ReadRun

__all__ = ["RecordSizes"]


@final
class RecordSizes:
    """The sizes of the records of a transfer, run by run."""

    def __init__(self, record_size: int) -> None:
        self._record_size: Final = record_size
        self._short = 0
        """Bytes of the record before the head, if it was a short one."""
        self._has_told = False

    def forget(self) -> None:
        """What comes next does not follow what came last."""
        self._short = 0

    def of_run(self, run: ReadRun) -> TapekitError | None:
        """Take in a run, of which only the last record can be short.

        :returns: what is to be told of it, once for a transfer.
        """
        follows, last = self._short, run.length - (run.records - 1) * self._record_size
        self._short = last if last < self._record_size else 0
        if not follows or self._has_told:
            return None
        self._has_told = True
        return CATALOGUE.error(
            "record-size-mismatch", block_size1=follows, block_size2=self._record_size
        )
