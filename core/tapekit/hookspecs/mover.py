"""The mover: between a data connection and a tape, in whole records.

A mover counts, cuts records, keeps the window and pauses; which request is
legal when is the protocol's business. It runs in one worker thread and is
steered from others.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from tapekit.hookspecs._markers import hookspec

if TYPE_CHECKING:
    from tapekit.hookspecs.tape_driver import OpenTape
    from tapekit.segments import DataSink, DataSource

__all__ = [
    "UNLIMITED",
    "Mover",
    "MoverFactory",
    "MoverHalt",
    "MoverObserver",
    "MoverPause",
    "MoverProgress",
    "Window",
    "tapekit_provide_movers",
]

UNLIMITED: Final = 2**64 - 1
"""The length of a window or a read without end (NDMP v4)."""


class MoverPause(enum.Enum):
    """Why a mover paused (NDMP v4, mover pause reasons)."""

    EOM = 1
    EOF = 2
    SEEK = 3
    EOW = 5


class MoverHalt(enum.Enum):
    """Why a mover halted (NDMP v4, mover halt reasons)."""

    CONNECT_CLOSED = 1
    ABORTED = 2
    INTERNAL_ERROR = 3
    CONNECT_ERROR = 4
    MEDIA_ERROR = 5


class Window(NamedTuple):
    """The part of the stream that lies on the current tape file, in bytes
    (NDMP v4, MOVER_SET_WINDOW). It starts at the tape's position at the
    moment it is set.
    """

    offset: int = 0
    length: int = UNLIMITED


class MoverProgress(NamedTuple):
    """The counters of MOVER_GET_STATE, in bytes except ``record_number``."""

    record_number: int
    bytes_moved: int
    seek_position: int
    bytes_left_to_read: int


class MoverObserver(Protocol):
    """Hears of a mover's own changes, in its worker thread."""

    def paused(self, reason: MoverPause, seek_position: int) -> None:
        """The mover waits; the connection stays open."""
        ...

    def explained(self, text: str) -> None:
        """Something that an operator should know of a pause or a halt that
        follows, or of the tape: what a drive said, or a catalogue text.
        """
        ...

    def halted(self, reason: MoverHalt, explanation: str | None) -> None:
        """The mover is done; called once, as its last act, after everything
        written is on the tape and the connection is closed. ``explanation``
        is a catalogue text for the operator.
        """
        ...


class Mover(Protocol):
    """One transfer between a tape and a data connection.

    ``run_*`` block in a worker thread until the mover halts; the other
    methods come from another thread and return at once. A mover that waits
    (paused, or with nothing left to read) notices :meth:`close` and
    :meth:`abort` by itself; one that waits for its connection notices when
    the caller breaks the connection, and halts as it was asked to.
    """

    @property
    def progress(self) -> MoverProgress:
        """The counters now."""
        ...

    def set_window(self, window: Window) -> None:
        """Set the window at the tape's present position; only before the
        transfer or while paused.
        """
        ...

    def run_to_tape(self, source: DataSource) -> None:
        """Write the stream to tape in records; the last one padded with
        zeros. Pauses ``EOM`` at early warning and ``EOW`` at a full window,
        the unwritten record kept.
        """
        ...

    def run_from_tape(self, sink: DataSink) -> None:
        """Send the ranges that :meth:`read` asks for, until closed. Pauses
        ``EOF`` at a filemark or the end of data and ``SEEK`` for a position
        outside the window; all bytes sent have left before it tells.
        """
        ...

    def read(self, offset: int, length: int) -> None:
        """Ask for a range of the stream (NDMP v4, MOVER_READ); the previous
        one must be finished, see ``bytes_left_to_read``.
        """
        ...

    def resume(self, tape: OpenTape) -> None:
        """Go on after a pause, on this tape, with the window then set."""
        ...

    def close(self) -> None:
        """Finish now: halts ``CONNECT_CLOSED`` (NDMP v4, MOVER_CLOSE). What
        :meth:`run_from_tape` has sent ends cleanly for the other end.
        """
        ...

    def abort(self) -> None:
        """Stop: halts ``ABORTED`` (NDMP v4, MOVER_ABORT)."""
        ...

    def let_go(self) -> None:
        """The connection inside the process is broken: a mover that writes to
        tape keeps nothing of its stream while it is paused, and so no file
        open. It stays paused, and halts ``CONNECT_ERROR`` once it goes on.
        """
        ...


class MoverFactory(Protocol):
    """Makes movers."""

    @property
    def default_record_size(self) -> int:
        """Bytes of a record until MOVER_SET_RECORD_SIZE."""
        ...

    @property
    def largest_record_size(self) -> int:
        """The largest record in bytes that may be set."""
        ...

    def create(self, tape: OpenTape, record_size: int, observer: MoverObserver) -> Mover:
        """Make the mover of one transfer. Its record 0 of the window is
        where the tape stands now.
        """
        ...


@hookspec
def tapekit_provide_movers() -> MoverFactory | None:
    """Offer the stack's movers.

    Called once. At most one plugin may answer; a second one stops the start
    with ``core.duplicate-provider``. With none there is no tape service.
    """
