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
from tapekit.segments import piece_length
from tapekit_vtape.acceptance import Acceptance
from tapekit_vtape.cartridge import FILEMARK_COST_BYTES
from tapekit_vtape.errors import CATALOGUE
from tapekit_vtape.faults import FaultKind
from tapekit_vtape.index_format import LONGEST_PACKED_RECORD
from tapekit_vtape.models import VIRTUAL
from tapekit_vtape.record_pieces import first_bytes, with_shorter
from tapekit_vtape.tape_map import FILEMARK
from tapekit_vtape.tape_pages import Extents, Traffic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.segments import Piece
    from tapekit_vtape.cartridge import Cartridge
    from tapekit_vtape.fault_board import DriveFaults
    from tapekit_vtape.index_format import Header
    from tapekit_vtape.models import DriveModel
    from tapekit_vtape.packing import FramePacker
    from tapekit_vtape.tape_map import Run

__all__ = ["Bay", "VtapeDrive"]

_UNSUPPORTED_FORMAT, _READ_ONLY_FORMAT, _CLEAN_NOW = 12, 17, 20
"""Flags of TapeAlert (SSC)."""


_EMPTY: Final = DriveStatus(
    has_tape=False,
    write_protected=False,
    position=TapePosition(0, 0),
    block_size=0,
    soft_errors=0,
    total_bytes=None,
    remaining_bytes=None,
)
"""The state of a drive without a tape."""


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

    def __init__(
        self,
        bay: Bay,
        faults: DriveFaults,
        model: DriveModel = VIRTUAL,
        packer: FramePacker | None = None,
    ) -> None:
        """:param packer: compresses, where the drive can; and then it does at first."""
        self._bay: Final = bay
        self._faults: Final = faults
        self.model: Final = model
        self._mount: Final = Acceptance(model, bay.name)
        self._packer: Final = packer
        self.is_compressing = packer is not None
        """Whether what is written from now on is compressed."""
        self.traffic = Traffic()
        self._cartridge: Cartridge | None = None
        self._position = 0
        self._has_warned = False
        self._is_closed = False
        self._has_lost_power = False
        self.loads = 0
        """How many cartridges were loaded since the drive was opened."""

    def status(self) -> DriveStatus:
        """See :meth:`TapeDrive.status`.

        :raises TapeError: ``MEDIUM_ERROR``, the tape is of a generation that
            the drive does not read.
        """
        cartridge = self._present()
        if cartridge is None:
            return _EMPTY
        self._mount.require_readable(cartridge)
        capacity = cartridge.header.capacity
        return DriveStatus(
            has_tape=True,
            write_protected=self.is_protected,
            position=cartridge.tape.describe(self._position),
            block_size=0,
            soft_errors=0,
            total_bytes=capacity,
            remaining_bytes=max(0, self._limits(cartridge)[1] - cartridge.used(self._position)),
        )

    def logged_status(self) -> DriveStatus:
        """The same for log pages, which can be read whatever tape there is: a
        drive that does not read it tells nothing of it.
        """
        medium = self.medium()
        is_foreign = medium is not None and not self.model.can_read(medium.density)
        return _EMPTY if is_foreign else self.status()

    def extents(self) -> Extents | None:
        """How far things are on the tape; ``None`` without one that the drive reads."""
        cartridge = self._present()
        if cartridge is None or not self.model.can_read(cartridge.header.density):
            return None
        data, head = (cartridge.used(one) for one in (cartridge.tape.objects, self._position))
        return Extents(data, *self._limits(cartridge), head)

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
        is_packing = self.is_compressing and record_size <= LONGEST_PACKED_RECORD
        if not is_packing:
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
            pieces = first_bytes(pieces, taken * record_size)
        if is_packing:
            taken = self._write_packed(cartridge, pieces, record_size)
        else:
            self._tear(cartridge, pieces, taken * record_size)
            cartridge.write_records(self._position, pieces, taken, record_size)
            self._position += taken
            self.traffic = self.traffic.written(taken * record_size, taken * record_size)
        self._faults.slow_down(cartridge.header.barcode, taken * record_size)
        return taken

    def _write_packed(self, cartridge: Cartridge, pieces: Sequence[Piece], size: int) -> int:
        """Write records compressed, as many as fit; how many."""
        packer = self._packer
        assert packer is not None
        taken = 0
        for group in packer.groups(pieces, size):
            done = 0
            while done < len(group):
                frame, count = self._fitting(cartridge, packer, done, len(group), size)
                if not count and not taken:
                    raise self._limit_met(cartridge)
                if not count:
                    return taken
                self._tear(cartridge, [frame], len(frame))
                self.traffic = self.traffic.written(count * size, len(frame))
                if len(frame) < count * size:
                    cartridge.write_frame(self._position, frame, count, size)
                else:
                    cartridge.write_records(self._position, [frame], count, size)
                done, taken = done + count * size, taken + count
                self._position += count
        return taken

    def _fitting(
        self, cartridge: Cartridge, packer: FramePacker, start: int, stop: int, size: int
    ) -> tuple[memoryview, int]:
        """As many of a group's records as fit before the next limit, compressed."""
        warning, end = self._limits(cartridge)
        room = (end if self._has_warned else warning) - cartridge.used(self._position)
        count = (stop - start) // size
        while count:
            frame = packer.pack(start, count * size)
            if len(frame) <= room:
                return frame, count
            count //= 2
        return memoryview(b""), 0

    def _limit_met(self, cartridge: Cartridge) -> TapeError:
        if self._has_warned:
            return self._end_of_medium(cartridge)
        self._has_warned = True
        return self._early_warning(cartridge)

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
        cartridge.tear(self._position, first_bytes(pieces, kept))
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
        used = cartridge.used(self._position)
        warning, end = self._limits(cartridge)
        before_warning = (warning - used) // record_size
        if not self._has_warned and before_warning < 1:
            self._has_warned = True
            raise self._early_warning(cartridge)
        if before_warning >= 1:
            return before_warning
        room = (end - used) // record_size
        if room < 1:
            raise self._end_of_medium(cartridge)
        return room

    def _early_warning(self, cartridge: Cartridge) -> TapeError:
        return CATALOGUE.raised_as(
            TapeError,
            "early-warning",
            condition=Condition.EARLY_WARNING,
            barcode=cartridge.header.barcode,
            used=cartridge.used(self._position),
            capacity=self._limits(cartridge)[1],
        )

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
        """See :meth:`TapeDrive.read_records`; answers with one piece: an extent,
        or records that were decompressed.
        """
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
        count = short = 0
        if run.length == record_size:
            count = max(1, min(run.stop_object - self._position, limit // record_size))
            # The next one is good, so that some are left.
            good = self._good_records(FaultKind.READ_ERROR, cartridge, count + 1)
            if good > count:
                short = min(record_size - 1, limit - count * record_size)
            count = min(count, good)
        piece, records = with_shorter(cartridge, self._position, max(count, 1), short)
        length = piece_length(piece)
        self.traffic = self.traffic.read(run, length)
        self._position += records
        self._faults.slow_down(cartridge.header.barcode, length)
        return ReadRun((piece,), records, length)

    def read_record(self, size: int) -> bytes:
        """See :meth:`TapeDrive.read_record`."""
        cartridge, run = self._readable()
        data = cartridge.read(self._position, min(size, run.length))
        self.traffic = self.traffic.read(run, len(data))
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

    def look(self) -> None:
        """See whether a tape has come.

        :raises TapeError: it is in use or cannot be read.
        """
        self._present()

    @property
    def can_compress(self) -> bool:
        """Whether it may be told to."""
        return self._packer is not None

    def compress(self, *, is_on: bool) -> None:
        """Compress what is written from now on, or not."""
        self.is_compressing = is_on and self.can_compress

    def medium(self) -> Header | None:
        """The attributes of the tape in it."""
        cartridge = self._present()
        return None if cartridge is None else cartridge.header

    @property
    def is_protected(self) -> bool:
        """Whether there is a tape in it that it must not or cannot write."""
        cartridge = self._present()
        if cartridge is None:
            return False
        can_write = self.model.can_write(cartridge.header.density)
        return self._has_lock(cartridge) or not can_write

    @property
    def alerts(self) -> frozenset[int]:
        """The flags of TapeAlert that are raised; looks for no tape."""
        density = self._cartridge.header.density if self._cartridge else 0
        raised = {
            _UNSUPPORTED_FORMAT: not self.model.can_read(density),
            _READ_ONLY_FORMAT: self.model.can_read(density) and not self.model.can_write(density),
            _CLEAN_NOW: self.wants_cleaning,
        }
        return frozenset(flag for flag, is_raised in raised.items() if is_raised)

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
        self._inserted()
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
        cartridge = self._inserted()
        self._mount.require_readable(cartridge)
        return cartridge

    def _inserted(self) -> Cartridge:
        cartridge = self._present()
        if cartridge is None:
            raise CATALOGUE.raised_as(
                TapeError, "no-tape", condition=Condition.NO_TAPE, drive=self._bay.name
            )
        return cartridge

    def _writable(self) -> Cartridge:
        cartridge = self._loaded()
        is_protected = self._has_lock(cartridge)
        self._mount.require_writable(cartridge, self._position, is_protected=is_protected)
        return cartridge

    def _has_lock(self, cartridge: Cartridge) -> bool:
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
