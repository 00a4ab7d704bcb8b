"""A virtual drive as a SCSI target (SSC).

Each command becomes what :class:`VtapeDrive` does, and what that finds
becomes sense data with the residue that SSC asks for. The block length of
fixed mode and the prevention of removal are of the door and end with it. The
one rule: after every command the head is where SSC says, also when the
command ended early; a filemark that stops a read is passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.attributes import (
    ATTRIBUTE_LIST,
    ATTRIBUTE_VALUES,
    encode_attribute_list,
    encode_attributes,
)
from tapekit.scsi.cdb import TAPE_COMMANDS
from tapekit.scsi.log import PAGE_LIST, TAPE_ALERT_PAGE
from tapekit.scsi.position import EXTENDED, POSITION_BYTES, Position, encode_position
from tapekit.scsi.sense import NO_SENSE, Sense, SenseKey
from tapekit_vtape.cartridge_memory import cartridge_attributes
from tapekit_vtape.fault_board import Touch
from tapekit_vtape.tape_pages import TapeModes, alert_page, densities, log_page, page_list
from tapekit_vtape.target import BAD_FIELD, Answer, Refusal, TargetDoor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tapekit.scsi.cdb import Command
    from tapekit_vtape.drive import VtapeDrive
    from tapekit_vtape.fault_board import DriveFaults
    from tapekit_vtape.identity import Identity
    from tapekit_vtape.target import Guard, Handler, Request

__all__ = ["LONGEST_BLOCK", "tape_door"]

LONGEST_BLOCK: Final = 8 << 20
"""The longest block that a client may write or read through the door."""

_MEDIUM_CHANGED: Final = Sense(SenseKey.UNIT_ATTENTION, 0x28, 0x00)
_PREVENTED: Final = Sense(SenseKey.ILLEGAL_REQUEST, 0x53, 0x02)
_WARNED: Final = Sense(SenseKey.NO_SENSE, 0x00, 0x02, end_of_medium=True, information=0)
_FULL: Final = Sense(SenseKey.VOLUME_OVERFLOW, 0x00, 0x02, end_of_medium=True)
_MARK: Final = Sense(SenseKey.NO_SENSE, 0x00, 0x01, filemark=True)
_BLANK: Final = Sense(SenseKey.BLANK_CHECK, 0x00, 0x05)
_BEGINNING: Final = Sense(SenseKey.NO_SENSE, 0x00, 0x04, end_of_medium=True)
_WRONG_LENGTH: Final = Sense(SenseKey.NO_SENSE, 0x00, 0x00, wrong_length=True)
_READ_ERROR: Final = Sense(SenseKey.MEDIUM_ERROR, 0x11, 0x00)
_CLEANING: Final = Sense(SenseKey.NO_SENSE, 0x00, 0x17)
_WRITE_ERROR: Final = Sense(SenseKey.MEDIUM_ERROR, 0x0C, 0x00)

_BLOCKS, _FILEMARKS, _END_OF_DATA = 0, 1, 3
"""What SPACE counts."""

_OBJECT, _FILE = 0, 1
"""What LOCATE(16) goes to; or :data:`_END_OF_DATA`."""


_LOOKS: Final = frozenset(
    {"TEST UNIT READY", "READ POSITION", "REPORT DENSITY SUPPORT", "READ ATTRIBUTE"}
)
_MOVES: Final = frozenset(
    {
        "REWIND",
        "READ(6)",
        "WRITE(6)",
        "WRITE FILEMARKS(6)",
        "SPACE(6)",
        "SPACE(16)",
        "ERASE(6)",
        "LOAD UNLOAD",
        "LOCATE(10)",
        "LOCATE(16)",
    }
)


def tape_door(
    drive: VtapeDrive, identity: Identity, faults: DriveFaults, guard: Guard
) -> TargetDoor:
    """The door of a drive that has just been opened."""

    def admit(command: str) -> None:
        is_look = Touch.LOOK if command in _LOOKS else Touch.REACH
        faults.refuse(Touch.MOVE if command in _MOVES else is_look)

    return TargetDoor(_TapeTarget(drive, identity), guard, admit)


@final
class _TapeTarget:
    """A :class:`tapekit_vtape.target.Device` over a drive."""

    commands: Final[Mapping[int, Command]] = TAPE_COMMANDS
    busy: Final = Sense(SenseKey.NOT_READY, 0x04, 0x07)

    def __init__(self, drive: VtapeDrive, identity: Identity) -> None:
        self.identity: Final = identity
        self._drive: Final = drive
        self._modes: Final = TapeModes(drive, LONGEST_BLOCK)
        self._loads_seen: int | None = None
        self._is_removal_prevented = False
        self.handlers: Final[Mapping[str, Handler]] = {
            "TEST UNIT READY": self._test_ready,
            "REWIND": self._rewind,
            "READ BLOCK LIMITS": _block_limits,
            "READ(6)": self._read,
            "WRITE(6)": self._write,
            "WRITE FILEMARKS(6)": self._write_filemarks,
            "SPACE(6)": self._space,
            "SPACE(16)": self._space,
            "ERASE(6)": self._erase,
            "LOAD UNLOAD": self._load_unload,
            "PREVENT ALLOW MEDIUM REMOVAL": self._prevent,
            "LOCATE(10)": self._locate,
            "LOCATE(16)": self._locate_16,
            "READ POSITION": self._read_position,
            "MODE SENSE(6)": self._modes.sense_6,
            "MODE SENSE(10)": self._modes.sense_10,
            "MODE SELECT(6)": self._modes.select_6,
            "MODE SELECT(10)": self._modes.select_10,
            "LOG SENSE": self._log_sense,
            "REPORT DENSITY SUPPORT": self._densities,
            "READ ATTRIBUTE": self._read_attribute,
        }

    def news(self) -> Sense | None:
        """See :meth:`Device.news`: a tape that has come since."""
        self._drive.look()
        before, self._loads_seen = self._loads_seen, self._drive.loads
        if before is None or before == self._loads_seen:
            return None
        self._modes.reset()
        return _MEDIUM_CHANGED

    def wish(self) -> Sense:
        """See :meth:`Device.wish`: to be cleaned."""
        return _CLEANING if self._drive.wants_cleaning else NO_SENSE

    def reset(self) -> None:
        """See :meth:`Device.reset`; the tape stays where it is."""
        self._drive.compress(is_on=self._drive.can_compress)
        self._is_removal_prevented = False
        self._modes.reset()

    def _test_ready(self, _request: Request) -> Answer:
        _ = self._drive.object_id
        return Answer()

    # Reading and writing.

    def _read(self, request: Request) -> Answer:
        count, is_silent = request.values["count"], bool(request.values["sili"])
        if request.values["fixed"]:
            if is_silent:
                raise Refusal(BAD_FIELD._replace(field=1))
            return self._read_blocks(count, self._fixed_length(count))
        if count > LONGEST_BLOCK:
            raise Refusal(BAD_FIELD._replace(field=2))
        return self._read_block(count, is_silent=is_silent)

    def _read_block(self, count: int, *, is_silent: bool) -> Answer:
        """One block of any length."""
        _ = self._drive.object_id
        if not count:
            return Answer()
        try:
            length = self._drive.next_length()
        except TapeError as error:
            return Answer(sense=self._stopped(error, count))
        data = self._drive.read_record(count)
        is_hidden = is_silent and (length < count or not self._modes.block_length)
        if length == count or is_hidden:
            return Answer(data)
        return Answer(data, sense=_WRONG_LENGTH._replace(information=count - length))

    def _read_blocks(self, count: int, length: int) -> Answer:
        """So many blocks of the fixed length."""
        blocks: list[bytes] = []
        while len(blocks) < count:
            left = count - len(blocks)
            try:
                found = self._drive.next_length()
            except TapeError as error:
                return Answer(b"".join(blocks), sense=self._stopped(error, left))
            data = self._drive.read_record(length)
            if found != length:
                sense = _WRONG_LENGTH._replace(information=left)
                return Answer(b"".join(blocks), sense=sense)
            blocks.append(data)
        return Answer(b"".join(blocks))

    def _stopped(self, error: TapeError, left: int) -> Sense:
        """What ended a read; a filemark is passed."""
        if error.condition is Condition.FILEMARK:
            self._drive.space_filemarks(1)
            return _MARK._replace(information=left)
        if error.condition is Condition.END_OF_DATA:
            return _BLANK._replace(information=left)
        if error.condition is Condition.MEDIUM_ERROR:
            return _READ_ERROR._replace(information=left)
        raise error

    def _write(self, request: Request) -> Answer:
        count = request.values["count"]
        _ = self._drive.object_id
        if not count:
            return Answer()
        is_fixed = bool(request.values["fixed"])
        length = self._fixed_length(count) if is_fixed else count
        total = count * length if is_fixed else length
        if length > LONGEST_BLOCK or len(request.data) < total:
            raise Refusal(BAD_FIELD._replace(field=2))
        written = self._written(memoryview(request.data)[:total], length)
        if written < total:
            left = (total - written) // (length if is_fixed else 1)
            return Answer(written=written, sense=_FULL._replace(information=left))
        return Answer(written=written, sense=self._warning())

    def _written(self, data: memoryview, length: int) -> int:
        """Write blocks to the end of the medium at most; how many bytes."""
        written = 0
        while written < len(data):
            try:
                taken = self._drive.write_records([data[written:]], length)
            except TapeError as error:
                if error.condition is Condition.EARLY_WARNING:
                    continue  # It comes once; the sense data will say it.
                if error.condition is Condition.MEDIUM_ERROR:
                    raise Refusal(_WRITE_ERROR) from error
                if error.condition is not Condition.END_OF_MEDIUM:
                    raise
                break
            written += taken * length
        return written

    def _warning(self) -> Sense | None:
        return _WARNED if self._drive.is_beyond_warning else None

    def _write_filemarks(self, request: Request) -> Answer:
        count = request.values["count"]
        if request.values["setmarks"]:
            raise Refusal(BAD_FIELD._replace(field=1))
        try:
            self._drive.write_filemarks(count)
        except TapeError as error:
            if error.condition is Condition.END_OF_MEDIUM:
                return Answer(sense=_FULL._replace(information=count))
            if error.condition is Condition.MEDIUM_ERROR:
                raise Refusal(_WRITE_ERROR) from error
            raise
        return Answer(sense=self._warning() if count else None)

    def _erase(self, _request: Request) -> Answer:
        self._drive.erase()
        return Answer()

    def _fixed_length(self, count: int) -> int:
        length = self._modes.block_length
        if not length or count * length > _LONGEST_TRANSFER:
            raise Refusal(BAD_FIELD._replace(field=1 if not length else 2))
        return length

    # Motion.

    def _rewind(self, _request: Request) -> Answer:
        self._drive.rewind()
        return Answer()

    def _space(self, request: Request) -> Answer:
        code, count = request.values["code"], request.values["count"]
        if code == _END_OF_DATA:
            self._drive.go_to_end()
            return Answer()
        if code == _FILEMARKS:
            left = abs(count) - self._drive.space_filemarks(count)
            return Answer(sense=self._end_of_space(count, left) if left else None)
        if code != _BLOCKS:
            raise Refusal(BAD_FIELD._replace(field=1))
        left = abs(count) - self._drive.space_records(count)
        if left and self._drive.space_filemarks(1 if count > 0 else -1):
            return Answer(sense=_MARK._replace(information=left))
        return Answer(sense=self._end_of_space(count, left) if left else None)

    def _end_of_space(self, count: int, left: int) -> Sense:
        return (_BLANK if count > 0 else _BEGINNING)._replace(information=left)

    def _locate(self, request: Request) -> Answer:
        values = request.values
        if values["device_address"]:
            raise Refusal(BAD_FIELD._replace(field=1))
        if values["change_partition"] and values["partition"]:
            raise Refusal(BAD_FIELD._replace(field=8))
        return self._located(values["object"])

    def _locate_16(self, request: Request) -> Answer:
        values = request.values
        if values["change_partition"] and values["partition"]:
            raise Refusal(BAD_FIELD._replace(field=3))
        if values["destination"] == _OBJECT:
            return self._located(values["object"])
        if values["destination"] == _END_OF_DATA:
            self._drive.go_to_end()
            return Answer()
        if values["destination"] != _FILE:
            raise Refusal(BAD_FIELD._replace(field=1))
        self._drive.rewind()
        passed = self._drive.space_filemarks(values["object"])
        return Answer(sense=_BLANK if passed < values["object"] else None)

    def _located(self, object_id: int) -> Answer:
        return Answer(sense=None if self._drive.locate(object_id) else _BLANK)

    def _read_position(self, request: Request) -> Answer:
        form = request.values["service_action"]
        if form not in POSITION_BYTES:
            raise Refusal(BAD_FIELD._replace(field=1))
        objects = self._drive.object_id
        position = Position(
            objects,
            self._drive.status().position.file,
            is_beginning=objects == 0,
            is_beyond_warning=self._drive.is_beyond_warning,
        )
        answer = encode_position(position, form)
        # The other forms are sent in full, and their allocation length is 0.
        if form == EXTENDED:
            answer = answer[: request.values["extended_allocation"]]
        return Answer(answer)

    # The cartridge.

    def _load_unload(self, request: Request) -> Answer:
        values = request.values
        if values["hold"] or (values["load"] and values["end_of_tape"]):
            raise Refusal(BAD_FIELD._replace(field=4))
        if values["load"]:
            self._drive.load()
            self._drive.rewind()
            return Answer()
        if self._is_removal_prevented:
            raise Refusal(_PREVENTED)
        self._drive.unload()
        return Answer()

    def _prevent(self, request: Request) -> Answer:
        self._is_removal_prevented = bool(request.values["prevent"] & 1)
        return Answer()

    # What there is to know.

    def _log_sense(self, request: Request) -> Answer:
        values = request.values
        if values["parameter"]:
            raise Refusal(BAD_FIELD._replace(field=5))
        if values["subpage"]:
            raise Refusal(BAD_FIELD._replace(field=2))
        if values["page"] == PAGE_LIST:
            return Answer(page_list())
        if values["page"] == TAPE_ALERT_PAGE:
            return Answer(alert_page(self._drive.alerts))
        drive = self._drive
        page = log_page(
            values["page"],
            drive.logged_status(),
            drive.traffic,
            drive.extents(),
            wants_cleaning=drive.wants_cleaning,
        )
        if page is None:
            raise Refusal(BAD_FIELD._replace(field=2))
        return Answer(page)

    def _densities(self, request: Request) -> Answer:
        if request.values["medium_type"]:
            raise Refusal(BAD_FIELD._replace(field=1))
        of_medium = bool(request.values["loaded"])
        if of_medium:
            _ = self._drive.object_id
        return Answer(densities(self._drive, of_medium=of_medium))

    def _read_attribute(self, request: Request) -> Answer:
        """The memory of the cartridge (SPC)."""
        values = request.values
        if values["volume"] or values["partition"]:
            raise Refusal(BAD_FIELD._replace(field=5 if values["volume"] else 7))
        _ = self._drive.object_id
        attributes = cartridge_attributes(self._drive)
        if values["service_action"] == ATTRIBUTE_VALUES:
            return Answer(encode_attributes(attributes, values["first"]))
        if values["service_action"] == ATTRIBUTE_LIST:
            return Answer(encode_attribute_list(attributes))
        raise Refusal(BAD_FIELD._replace(field=1))


_LONGEST_TRANSFER: Final = 0xFF_FFFF
"""What one command may move in fixed mode, in bytes: as much as in variable mode."""


def _block_limits(request: Request) -> Answer:
    if request.values["objects"]:
        raise Refusal(BAD_FIELD._replace(field=1))
    return Answer(LONGEST_BLOCK.to_bytes(4, "big") + (1).to_bytes(2, "big"))
