"""How a restore gets the ranges of the stream that it asks for.

Over TCP the data server tells the DMA (NOTIFY_DATA_READ), which asks the
mover; over a local connection it asks the session's mover itself. Either
way the bytes arrive in order on the one data connection, so a range is that
connection up to a count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.mover import UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.segments import Batch, DataSource

__all__ = ["AskedRanges"]


@final
class AskedRanges:
    """Ranges of a data connection, each asked for through ``ask``."""

    def __init__(self, source: DataSource, ask: Callable[[int, int], None]) -> None:
        """:param ask: called with offset and length in bytes, in the job's thread."""
        self._source: Final = source
        self._ask: Final = ask

    def request(self, offset: int, length: int) -> DataSource:
        """Ask for bytes of the stream; see :class:`RangeSource`."""
        self._ask(offset, length)
        return _Counted(self._source, length)


@final
class _Counted:
    """A source that ends after a count of bytes."""

    def __init__(self, source: DataSource, length: int) -> None:
        self._source: Final = source
        self._left = length

    def get(self) -> Batch | None:
        if self._left == 0:
            return None
        batch = self._source.get()
        if batch is not None and self._left != UNLIMITED:
            # A sender gives what was asked for; one that gives more is cut
            # off at the range's end by its next request being refused.
            self._left -= min(batch.length, self._left)
        return batch
