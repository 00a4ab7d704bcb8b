"""The faults that are armed, and what each device asks of them.

Devices ask before they act; administrators add and clear at the same time
from another thread, so all counting is done under one lock, which nobody
holds while a device works. The one rule: a fault counts as struck when a
device has been told to fail, and not when it was merely looked at.
"""

from __future__ import annotations

import enum
import threading
from typing import TYPE_CHECKING, Final, final

import msgspec

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit_vtape.errors import CATALOGUE
from tapekit_vtape.faults import DeviceFault, FaultKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["ArmedFault", "ChangerFaults", "DriveFaults", "FaultBoard", "Touch"]


class Touch(enum.IntEnum):
    """How much of a device a command needs."""

    REACH = 0
    """It answers from what its electronics know."""
    LOOK = 1
    """It tells of the tape, and moves nothing."""
    MOVE = 2
    """It moves the tape, or a cartridge."""


_DRIVE_KINDS: Final = (
    (FaultKind.OFFLINE, Touch.REACH),
    (FaultKind.RESERVED, Touch.LOOK),
    (FaultKind.NOT_READY, Touch.LOOK),
    (FaultKind.HARDWARE_ERROR, Touch.MOVE),
)
"""What refuses commands of a drive, and the least that those need."""

_CHANGER_KINDS: Final = (
    (FaultKind.CHANGER_BUSY, Touch.LOOK),
    (FaultKind.JAM, Touch.MOVE),
)


class ArmedFault(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that waits or strikes."""

    number: int
    """By which it is cleared; never given twice while a stack runs."""
    fault: DeviceFault
    struck: int = 0
    """How often a device has failed by it; not counted for a state that lasts."""
    passed: int = 0
    """Commands that went well before, as far as ``after`` counts them."""


@final
class FaultBoard:
    """All faults of a stack's virtual devices."""

    def __init__(
        self, faults: Iterable[DeviceFault] = (), wait: Callable[[float], object] | None = None
    ) -> None:
        """:param wait: lets so many seconds pass, for slow drives."""
        self._lock: Final = threading.Lock()
        self._armed: dict[int, ArmedFault] = {}
        self._last = 0
        self.wait: Final = wait or threading.Event().wait
        for fault in faults:
            self.add(fault)

    def add(self, fault: DeviceFault) -> ArmedFault:
        """Arm a fault."""
        with self._lock:
            self._last += 1
            armed = ArmedFault(number=self._last, fault=fault)
            self._armed[armed.number] = armed
        return armed

    def rows(self) -> Sequence[ArmedFault]:
        """The faults in the order in which they were armed."""
        with self._lock:
            return tuple(self._armed.values())

    def clear(self, number: int | None = None) -> Sequence[int]:
        """Take away one fault, or all.

        :returns: which ones there were.
        :raises TapekitError: there is none of that number.
        """
        with self._lock:
            if number is None:
                cleared = tuple(self._armed)
                self._armed.clear()
                return cleared
            if self._armed.pop(number, None) is None:
                raise CATALOGUE.error("no-fault", number=number)
        return (number,)

    def drive(self, number: int, name: str, library: str = "") -> DriveFaults:
        """What a drive of a library asks; ``name`` is for messages."""
        return DriveFaults(self, number, name, library)

    def changer(self, library: str = "") -> ChangerFaults:
        """What the changer of a library asks."""
        return ChangerFaults(self, library)

    # What devices' own views of the board use.

    @property
    def is_empty(self) -> bool:
        """Whether nothing is armed: the common case, told without the lock."""
        return not self._armed

    def of(self, kind: FaultKind, library: str) -> list[ArmedFault]:
        """The armed faults of a kind that concern a library."""
        return [
            armed
            for armed in self.rows()
            if armed.fault.kind is kind and armed.fault.library in (None, library)
        ]

    def strike(self, number: int) -> None:
        """Count that a device fails; a fault that has struck often enough goes."""
        with self._lock:
            armed = self._armed.get(number)
            if armed is None:
                return
            struck = armed.struck + 1
            self._armed[number] = msgspec.structs.replace(armed, struck=struck)
            if struck == armed.fault.times:
                del self._armed[number]

    def comes(
        self, kind: FaultKind, library: str, concerns: Callable[[DeviceFault], bool], touch: Touch
    ) -> bool:
        """Whether a command is to fail now; if so, that is counted."""
        for armed in self.of(kind, library):
            if not concerns(armed.fault):
                continue
            if not self._is_due(armed.number, touch):
                continue
            self.strike(armed.number)
            return True
        return False

    def _is_due(self, number: int, touch: Touch) -> bool:
        """Whether enough commands have gone well; if not, one more has."""
        with self._lock:
            armed = self._armed.get(number)
            if armed is None or armed.passed >= armed.fault.after:
                return armed is not None
            if touch is Touch.MOVE:
                self._armed[number] = msgspec.structs.replace(armed, passed=armed.passed + 1)
            return False


@final
class DriveFaults:
    """What a drive asks before it acts."""

    def __init__(self, board: FaultBoard, drive: int, name: str, library: str) -> None:
        self._board: Final = board
        self._library: Final = library
        self._drive: Final = drive
        self._name: Final = name

    def refuse(self, touch: Touch) -> None:
        """Fail a command for which a fault has come.

        :raises TapeError: ``TIMEOUT``, ``RESERVED``, ``NOT_READY``, ``HARDWARE_ERROR``.
        """
        if self._board.is_empty:
            return
        for kind, least in _DRIVE_KINDS:
            if touch >= least and self._board.comes(kind, self._library, self._concerns, touch):
                raise self._error(kind)

    def _concerns(self, fault: DeviceFault) -> bool:
        return fault.drive in (None, self._drive)

    def _error(self, kind: FaultKind) -> TapeError:
        if kind is FaultKind.OFFLINE:
            return CATALOGUE.raised_as(
                TapeError, "drive-offline", condition=Condition.TIMEOUT, drive=self._name
            )
        if kind is FaultKind.RESERVED:
            return CATALOGUE.raised_as(
                TapeError, "drive-reserved", condition=Condition.RESERVED, drive=self._name
            )
        if kind is FaultKind.NOT_READY:
            return CATALOGUE.raised_as(
                TapeError, "drive-not-ready", condition=Condition.NOT_READY, drive=self._name
            )
        return CATALOGUE.raised_as(
            TapeError, "drive-broken", condition=Condition.HARDWARE_ERROR, drive=self._name
        )

    def lasts(self, kind: FaultKind, barcode: str = "") -> bool:
        """Whether the drive, with a cartridge in it, is in a state."""
        return any(True for _ in self._with(kind, barcode))

    def limit(self, kind: FaultKind, barcode: str, otherwise: int) -> int:
        """Where on the tape something comes, in bytes; not later than ``otherwise``."""
        return min([otherwise, *(armed.fault.byte or 0 for armed in self._with(kind, barcode))])

    def good_records(self, kind: FaultKind, barcode: str, first: int, count: int) -> int:
        """How many of ``count`` records from ``first`` on come before a bad
        one. None at all means that the drive fails now, which is counted.
        """
        good, number = count, 0
        for armed in self._with(kind, barcode):
            record = armed.fault.record
            offset = 0 if record is None else record - first
            if 0 <= offset < good:
                good, number = offset, armed.number
        if not good:
            self._board.strike(number)
        return good

    def tear(self, barcode: str, start: int, length: int) -> int | None:
        """After how many of ``length`` bytes from ``start`` of the payload on
        power fails, if it does; it fails once.
        """
        for armed in self._with(FaultKind.TORN_WRITE, barcode):
            kept = (armed.fault.byte or 0) - start
            if 0 <= kept < length:
                self._board.clear(armed.number)
                return kept
        return None

    def slow_down(self, barcode: str, length: int) -> None:
        """Let the time pass that a slow drive takes for so many bytes."""
        speeds = [
            armed.fault.bytes_per_second or 1 for armed in self._with(FaultKind.SLOW, barcode)
        ]
        if speeds:
            self._board.wait(length / min(speeds))

    def _with(self, kind: FaultKind, barcode: str) -> list[ArmedFault]:
        if self._board.is_empty:
            return []
        return [
            armed
            for armed in self._board.of(kind, self._library)
            if armed.fault.concerns(self._drive, barcode)
        ]


@final
class ChangerFaults:
    """What a changer asks before it acts."""

    def __init__(self, board: FaultBoard, library: str) -> None:
        self._board: Final = board
        self._library: Final = library

    def refuse(self, touch: Touch) -> None:
        """Fail a command for which a fault has come.

        :raises TapeError: ``NOT_READY``, ``HARDWARE_ERROR``.
        """
        if self._board.is_empty:
            return
        for kind, least in _CHANGER_KINDS:
            if touch >= least and self._board.comes(kind, self._library, _of_any, touch):
                if kind is FaultKind.JAM:
                    raise CATALOGUE.raised_as(
                        TapeError, "robot-jam", condition=Condition.HARDWARE_ERROR
                    )
                raise CATALOGUE.raised_as(TapeError, "changer-busy", condition=Condition.NOT_READY)


def _of_any(_fault: DeviceFault) -> bool:
    return True
