"""A virtual tape drive: a head over a cartridge.

The drive keeps a position and turns what it finds there into the conditions
that a SCSI drive reports. A cartridge that is put into the drive is loaded
by the first operation that asks for one, unless it was ejected; then it
takes a :meth:`VtapeDrive.load`. The one rule: the position moves only over
objects that were really written, read or passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, final

from tapekit.hookspecs.tape_driver import (
    Condition,
    DriveStatus,
    ReadRun,
    TapeError,
    TapePosition,
)
from tapekit.segments import Extent, piece_length, slice_piece
from tapekit_vtape.cartridge import FILEMARK_COST_BYTES
from tapekit_vtape.errors import CATALOGUE
from tapekit_vtape.faults import FaultKind
from tapekit_vtape.tape_map import FILEMARK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.segments import Piece
    from tapekit_vtape.cartridge import Cartridge
    from tapekit_vtape.fault_board import DriveFaults
    from tapekit_vtape.tape_map import Run

__all__ = ["Bay", "VtapeDrive"]


class Bay(Protocol):
    """Where a drive gets its cartridge from, and what outlasts the drive."""

    @property
    def name(self) -> str:
        """The drive's physical path name, for messages."""
        ...

    def take(self, *, also_ejected: bool) -> tuple[Cartridge, int] | None:
        """The inserted cartridge, opened, and where its tape stands;
        ``None`` if there is none, or only an ejected one.

        :raises TapeError: the cartridge is in use or cannot be read.
        """
        ...

    def eject(self) -> None:
        """Remember that the inserted cartridge has been ejected."""
        ...

    def leave(self, position: int | None) -> None:
        """Let go of the drive; ``position`` is where the loaded tape stands."""
        ...


@final
class VtapeDrive:
    """What a :class:`tapekit.hookspecs.tape_driver.TapeDrive` promises, over a
    cartridge. Faults of the medium come from here.
    """

    def __init__(self, bay: Bay, faults: DriveFaults) -> None:
        self._bay: Final = bay
        self._faults: Final = faults
        self._cartridge: Cartridge | None = None
        self._position = 0
        self._has_warned = False
        self._is_closed = False
        self._has_lost_power = False
        self.loads = 0
        """How many cartridges were loaded since the drive was opened."""

    def status(self) -> DriveStatus:
        """See :meth:`TapeDrive.status`."""
        cartridge = self._present()
        if cartridge is None:
            return DriveStatus(
                has_tape=False,
                write_protected=False,
                position=TapePosition(0, 0),
                block_size=0,
                soft_errors=0,
                total_bytes=None,
                remaining_bytes=None,
            )
        capacity = cartridge.header.capacity
        return DriveStatus(
            has_tape=True,
            write_protected=self._is_protected(cartridge),
            position=cartridge.tape.describe(self._position),
            block_size=0,
            soft_errors=0,
            total_bytes=capacity,
            remaining_bytes=max(0, self._limits(cartridge)[1] - cartridge.used(self._position)),
        )

    # Writing.

    def write_records(self, pieces: Sequence[Piece], record_size: int) -> int:
        """See :meth:`TapeDrive.write_records`.

        :raises OSError: the file of an extent cannot be read.
        """
        cartridge = self._writable()
        length = sum(map(piece_length, pieces))
        given, rest = divmod(length, record_size)
        if rest:
            raise ValueError(f"{length} bytes are no whole records of {record_size}")
        if not given:
            return 0
        given = min(given, self._room(cartridge, record_size))
        taken = self._good_records(FaultKind.WRITE_ERROR, cartridge, given)
        if not taken:
            raise CATALOGUE.raised_as(
                TapeError,
                "write-error",
                condition=Condition.MEDIUM_ERROR,
                drive=self._bay.name,
                barcode=cartridge.header.barcode,
            )
        if taken * record_size < length:
            pieces = _first_bytes(pieces, taken * record_size)
        self._tear(cartridge, pieces, taken * record_size)
        cartridge.write_records(self._position, pieces, taken, record_size)
        self._position += taken
        self._faults.slow_down(cartridge.header.barcode, taken * record_size)
        return taken

    def _good_records(self, kind: FaultKind, cartridge: Cartridge, count: int) -> int:
        """How many of the records that come next are before a bad one."""
        first = self._position - cartridge.tape.marks_before(self._position)
        return self._faults.good_records(kind, cartridge.header.barcode, first, count)

    def _tear(self, cartridge: Cartridge, pieces: Sequence[Piece], length: int) -> None:
        """Lose power within a write, if it is to be."""
        start = cartridge.tape.byte_at(self._position)
        kept = self._faults.tear(cartridge.header.barcode, start, length)
        if kept is None:
            return
        self._has_lost_power, self._cartridge = True, None
        cartridge.tear(self._position, _first_bytes(pieces, kept))
        raise self._lost_power()

    def _lost_power(self) -> TapeError:
        return CATALOGUE.raised_as(
            TapeError, "power-lost", condition=Condition.TIMEOUT, drive=self._bay.name
        )

    def _limits(self, cartridge: Cartridge) -> tuple[int, int]:
        """Where the tape warns of its end, and where it ends."""
        header = cartridge.header
        end = self._faults.limit(FaultKind.END_OF_MEDIUM, header.barcode, header.capacity)
        warning = min(end, header.capacity - header.early_warning)
        return self._faults.limit(FaultKind.EARLY_WARNING, header.barcode, warning), end

    def _room(self, cartridge: Cartridge, record_size: int) -> int:
        """How many records, at least one, fit before the next limit."""
        header = cartridge.header
        used = cartridge.used(self._position)
        warning, end = self._limits(cartridge)
        before_warning = (warning - used) // record_size
        if not self._has_warned and before_warning < 1:
            self._has_warned = True
            raise CATALOGUE.raised_as(
                TapeError,
                "early-warning",
                condition=Condition.EARLY_WARNING,
                barcode=header.barcode,
                used=used,
                capacity=end,
            )
        if before_warning >= 1:
            return before_warning
        room = (end - used) // record_size
        if room < 1:
            raise self._end_of_medium(cartridge)
        return room

    def _end_of_medium(self, cartridge: Cartridge) -> TapeError:
        return CATALOGUE.raised_as(
            TapeError,
            "end-of-medium",
            condition=Condition.END_OF_MEDIUM,
            barcode=cartridge.header.barcode,
            used=cartridge.used(self._position),
            capacity=self._limits(cartridge)[1],
        )

    def write_filemarks(self, count: int) -> None:
        """See :meth:`TapeDrive.write_filemarks`; none at all makes durable."""
        cartridge = self._writable()
        if count < 1:
            cartridge.sync()
            return
        used = cartridge.used(self._position)
        if used + count * FILEMARK_COST_BYTES > self._limits(cartridge)[1]:
            raise self._end_of_medium(cartridge)
        cartridge.write_filemarks(self._position, count)
        self._position += count

    # Reading.

    def read_records(self, into: memoryview, limit: int, record_size: int) -> ReadRun:
        """See :meth:`TapeDrive.read_records`; answers with one extent."""
        del into  # The payload itself is better than a copy of it.
        cartridge, run = self._readable()
        if run.length > record_size:
            raise CATALOGUE.raised_as(
                TapeError,
                "record-too-long",
                condition=Condition.RECORD_TOO_LONG,
                drive=self._bay.name,
                length=run.length,
                record_size=record_size,
            )
        count, length = 1, run.length
        if run.length == record_size:
            count = max(1, min(run.stop_object - self._position, limit // record_size))
            # The next one is good, so that some are left.
            good = self._good_records(FaultKind.READ_ERROR, cartridge, count + 1)
            count, limit = min(count, good), limit if good > count else 0
            length = count * record_size
            following = cartridge.tape.run_at(self._position + count)
            # A run behind this one is of another length. One shorter record
            # may end what is read; more would not be told apart.
            if following and 0 < following.length <= min(record_size - 1, limit - length):
                count, length = count + 1, length + following.length
        start = cartridge.tape.byte_at(self._position)
        self._position += count
        self._faults.slow_down(cartridge.header.barcode, length)
        return ReadRun((Extent(cartridge.payload_fd, start, length),), count, length)

    def read_record(self, size: int) -> bytes:
        """See :meth:`TapeDrive.read_record`."""
        cartridge, run = self._readable()
        data = cartridge.read(cartridge.tape.byte_at(self._position), min(size, run.length))
        self._position += 1
        self._faults.slow_down(cartridge.header.barcode, len(data))
        return data

    # Motion.

    def space_records(self, count: int) -> int:
        """See :meth:`TapeDrive.space_records`."""
        before = self._position
        self._move(self._loaded().tape.over_records(before, count))
        return abs(self._position - before)

    def space_filemarks(self, count: int) -> int:
        """See :meth:`TapeDrive.space_filemarks`."""
        target, passed = self._loaded().tape.over_marks(self._position, count)
        self._move(target)
        return passed

    def rewind(self) -> None:
        """See :meth:`TapeDrive.rewind`."""
        self._loaded().sync()
        self._move(0)

    # What SCSI commands ask for, and the contract does not have.

    @property
    def object_id(self) -> int:
        """Records and filemarks before the head.

        :raises TapeError: ``NO_TAPE``.
        """
        self._loaded()
        return self._position

    @property
    def is_beyond_warning(self) -> bool:
        """Whether the head is behind the early-warning point.

        :raises TapeError: ``NO_TAPE``.
        """
        cartridge = self._loaded()
        return cartridge.used(self._position) > self._limits(cartridge)[0]

    @property
    def wants_cleaning(self) -> bool:
        """Whether the drive asks to be cleaned."""
        return self._faults.lasts(FaultKind.CLEANING)

    def next_length(self) -> int:
        """Bytes of the record behind the head.

        :raises TapeError: there is none; as :meth:`read_record`.
        """
        return self._readable()[1].length

    def locate(self, object_id: int) -> bool:
        """Go to an object, or to the end of the data if it is not there.

        :returns: whether it is there.
        :raises TapeError: ``NO_TAPE``.
        """
        objects = self._loaded().tape.objects
        self._move(min(object_id, objects))
        return object_id <= objects

    def go_to_end(self) -> None:
        """Go behind all data.

        :raises TapeError: ``NO_TAPE``; ``MEDIUM_ERROR``, damage is there.
        """
        cartridge = self._loaded()
        cartridge.refuse_damage(cartridge.tape.objects)
        self._move(cartridge.tape.objects)

    def erase(self) -> None:
        """Make the head's place the end of the data.

        :raises TapeError: ``NO_TAPE``, ``WRITE_PROTECTED``, ``MEDIUM_ERROR``.
        """
        self._writable().cut(self._position)

    def _move(self, target: int) -> None:
        if target < self._position:
            self._has_warned = False
        self._position = target

    # The cartridge.

    def unload(self) -> None:
        """See :meth:`TapeDrive.unload`; the cartridge stays in the drive, ejected."""
        self._loaded()
        self._let_go()
        self._bay.eject()

    def load(self) -> None:
        """See :meth:`TapeDrive.load`; an ejected cartridge goes in again."""
        if self._cartridge is None:
            self._take(also_ejected=True)
        self._loaded()

    def close(self) -> None:
        """See :meth:`TapeDrive.close`; later calls do nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        position = self._position if self._cartridge is not None else None
        try:
            self._let_go()
        finally:
            self._bay.leave(position)

    def _let_go(self) -> None:
        cartridge, self._cartridge = self._cartridge, None
        self._position = 0
        if cartridge is not None:
            cartridge.close()

    def _take(self, *, also_ejected: bool) -> None:
        if self._is_closed:
            return  # A door that somebody kept does not get at the tape any more.
        taken = self._bay.take(also_ejected=also_ejected)
        if taken is not None:
            self.loads += 1
            self._cartridge, self._position = taken
            self._has_warned = False

    def _present(self) -> Cartridge | None:
        if self._has_lost_power:
            raise self._lost_power()
        if self._cartridge is None:
            self._take(also_ejected=False)
        cartridge = self._cartridge
        if cartridge and self._faults.lasts(FaultKind.NO_TAPE, cartridge.header.barcode):
            return None
        return cartridge

    def _loaded(self) -> Cartridge:
        cartridge = self._present()
        if cartridge is None:
            raise CATALOGUE.raised_as(
                TapeError, "no-tape", condition=Condition.NO_TAPE, drive=self._bay.name
            )
        return cartridge

    def _writable(self) -> Cartridge:
        cartridge = self._loaded()
        if self._is_protected(cartridge):
            raise CATALOGUE.raised_as(
                TapeError,
                "write-protected",
                condition=Condition.WRITE_PROTECTED,
                drive=self._bay.name,
                barcode=cartridge.header.barcode,
            )
        return cartridge

    def _is_protected(self, cartridge: Cartridge) -> bool:
        header = cartridge.header
        return header.is_protected or self._faults.lasts(FaultKind.WRITE_PROTECTED, header.barcode)

    def _readable(self) -> tuple[Cartridge, Run]:
        """The cartridge and the run of the record that comes next."""
        cartridge = self._loaded()
        cartridge.refuse_damage(self._position)
        run = cartridge.tape.run_at(self._position)
        if run is None:
            raise CATALOGUE.raised_as(
                TapeError,
                "end-of-data",
                condition=Condition.END_OF_DATA,
                drive=self._bay.name,
                barcode=cartridge.header.barcode,
            )
        if run.length == FILEMARK:
            raise CATALOGUE.raised_as(
                TapeError,
                "filemark",
                condition=Condition.FILEMARK,
                drive=self._bay.name,
                barcode=cartridge.header.barcode,
            )
        if not self._good_records(FaultKind.READ_ERROR, cartridge, 1):
            raise CATALOGUE.raised_as(
                TapeError,
                "read-error",
                condition=Condition.MEDIUM_ERROR,
                drive=self._bay.name,
                barcode=cartridge.header.barcode,
            )
        return cartridge, run


def _first_bytes(pieces: Sequence[Piece], count: int) -> list[Piece]:
    """The first ``count`` bytes of pieces."""
    taken: list[Piece] = []
    for piece in pieces:
        length = min(count, piece_length(piece))
        taken.append(slice_piece(piece, 0, length))
        count -= length
        if not count:
            break
    return taken
