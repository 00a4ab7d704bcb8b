"""A SCSI target: takes a command, has it carried out, answers.

What every device does is here: commands are looked up and taken apart by
their tables, unit attentions come before all but the commands that must not
meet them, and what goes wrong becomes sense data. A device brings a handler
for each command that it has. The one rule: a handler that refuses has
changed nothing.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias, final

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.cdb import FieldRefused
from tapekit.scsi.door import CdbReply, ScsiAddress, Status
from tapekit.scsi.inquiry import (
    VitalPage,
    encode_designators,
    encode_inquiry,
    encode_page_list,
    encode_serial,
)
from tapekit.scsi.sense import Sense, SenseKey, encode_sense

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tapekit.scsi.cdb import Command
    from tapekit_vtape.identity import Identity

__all__ = [
    "BAD_FIELD",
    "BAD_PARAMETER",
    "RESET",
    "Answer",
    "Device",
    "Guard",
    "Handler",
    "Refusal",
    "Request",
    "TargetDoor",
]

BAD_FIELD: Final = Sense(SenseKey.ILLEGAL_REQUEST, 0x24, 0x00)
BAD_PARAMETER: Final = Sense(SenseKey.ILLEGAL_REQUEST, 0x26, 0x00)
_BAD_OPCODE: Final = Sense(SenseKey.ILLEGAL_REQUEST, 0x20, 0x00, field=0)
RESET: Final = Sense(SenseKey.UNIT_ATTENTION, 0x29, 0x03)
"""The unit attention after a reset of the device."""

_SENSES: Final[Mapping[Condition, Sense]] = {
    Condition.NO_TAPE: Sense(SenseKey.NOT_READY, 0x3A, 0x00),
    Condition.NOT_READY: Sense(SenseKey.NOT_READY, 0x04, 0x00),
    Condition.WRITE_PROTECTED: Sense(SenseKey.DATA_PROTECT, 0x27, 0x00),
    Condition.END_OF_DATA: Sense(SenseKey.BLANK_CHECK, 0x00, 0x05),
    Condition.MEDIUM_ERROR: Sense(SenseKey.MEDIUM_ERROR, 0x11, 0x00),
    Condition.SOURCE_EMPTY: Sense(SenseKey.ILLEGAL_REQUEST, 0x3B, 0x0E),
    Condition.DESTINATION_FULL: Sense(SenseKey.ILLEGAL_REQUEST, 0x3B, 0x0D),
    Condition.BAD_REQUEST: Sense(SenseKey.ILLEGAL_REQUEST, 0x21, 0x01),
}
"""What a condition is in sense data, where the command adds nothing to it."""

_FAULTS: Final[Mapping[str, Sense]] = {
    "vtape.unreadable-format": Sense(SenseKey.MEDIUM_ERROR, 0x30, 0x00),
    "vtape.unwritable-format": Sense(SenseKey.DATA_PROTECT, 0x30, 0x05),
    "vtape.written-once": Sense(SenseKey.DATA_PROTECT, 0x30, 0x0C),
    "vtape.robot-jam": Sense(SenseKey.HARDWARE_ERROR, 0x15, 0x01),
    "vtape.changer-busy": Sense(SenseKey.NOT_READY, 0x04, 0x01),
    "vtape.drive-not-ready": Sense(SenseKey.NOT_READY, 0x04, 0x01),
}
"""What says more in sense data than its condition does."""

_SILENT: Final = frozenset({Condition.TIMEOUT, Condition.NO_DEVICE})
"""Conditions under which no answer comes."""

_BROKEN: Final = Sense(SenseKey.HARDWARE_ERROR, 0x44, 0x00)

_NEVER_LATE: Final = frozenset({"INQUIRY", "REPORT LUNS", "REQUEST SENSE"})
"""Commands that are carried out while a unit attention waits (SAM)."""

_WITHOUT_MEDIUM: Final = frozenset(
    {"RESERVE(6)", "RELEASE(6)", "PERSISTENT RESERVE IN", "PERSISTENT RESERVE OUT"}
)
"""Commands that do not look at what is in the device."""


class Request(NamedTuple):
    """A command that is in order as far as its block goes."""

    values: Mapping[str, int]
    """Its fields by name; see :mod:`tapekit.scsi.cdb`."""
    data: bytes
    """What came with it."""


class Answer(NamedTuple):
    """What a handler did."""

    data: bytes = b""
    written: int = 0
    """Bytes of the data that came which were taken."""
    sense: Sense | None = None
    """What there is to say besides; the command was carried out so far."""


class Refusal(Exception):
    """A command that is not carried out."""

    def __init__(self, sense: Sense) -> None:
        super().__init__(sense)
        self.sense: Final = sense


Handler: TypeAlias = "Callable[[Request], Answer]"


class Device(Protocol):
    """What a target is a target for."""

    @property
    def identity(self) -> Identity:
        """Who it is."""
        ...

    @property
    def commands(self) -> Mapping[int, Command]:
        """How its commands look, by operation code."""
        ...

    @property
    def busy(self) -> Sense:
        """What it says when somebody else uses what the command needs."""
        ...

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """What it can do, by names of commands."""
        ...

    def news(self) -> Sense | None:
        """A unit attention for what happened since the last call."""
        ...

    def wish(self) -> Sense:
        """What it would like to say when it is asked and has nothing else."""
        ...

    def reset(self) -> None:
        """Forget what clients have set."""
        ...


class Guard(Protocol):
    """What knows for whom a device is reserved."""

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The commands that reserve and release."""
        ...

    def refuse(self, command: str) -> None:
        """Judge a command, by its name, before it is carried out.

        :raises TapeError: ``RESERVED``, somebody else has the device.
        """
        ...

    def news(self) -> Sense | None:
        """A unit attention for what others did since the last call."""
        ...

    def reset(self) -> None:
        """The device is reset, by this initiator."""
        ...


@final
class TargetDoor:
    """A :class:`tapekit.scsi.door.CdbDoor` of a device in this process."""

    def __init__(
        self, device: Device, guard: Guard, admit: Callable[[str], None] | None = None
    ) -> None:
        """:param admit: may raise a :class:`TapeError` for a command, by name."""
        self._device: Final = device
        self._guard: Final = guard
        self._admit: Final = admit or _let_in
        self._attentions: Final[deque[Sense]] = deque()
        self._handlers: Final[Mapping[str, Handler]] = {
            "INQUIRY": self._inquiry,
            "REQUEST SENSE": self._request_sense,
            "REPORT LUNS": _report_luns,
            "REPORT SUPPORTED OPERATION CODES": self._report_commands,
            **guard.handlers,
            **device.handlers,
        }
        self._commands: Final = {
            opcode: command
            for opcode, command in device.commands.items()
            if command.name in self._handlers
        }

    @property
    def address(self) -> ScsiAddress:
        """See :attr:`CdbDoor.address`."""
        return self._device.identity.address

    def execute(
        self, cdb: bytes, *, data_out: bytes = b"", data_in: int = 0, timeout_s: float | None = None
    ) -> CdbReply:
        """See :meth:`CdbDoor.execute`; a virtual device needs no time limit."""
        del timeout_s
        try:
            answer = self._carried_out(cdb, data_out)
        except Refusal as refusal:
            answer = Answer(sense=refusal.sense)
        except FieldRefused as refused:
            answer = Answer(sense=BAD_FIELD._replace(field=refused.byte))
        except TapeError as error:
            if error.condition in _SILENT:
                raise
            if error.condition is Condition.RESERVED:
                return CdbReply(Status.RESERVATION_CONFLICT)
            answer = Answer(sense=self._sense(error))
        status = Status.CHECK_CONDITION if answer.sense else Status.GOOD
        told = encode_sense(answer.sense) if answer.sense else b""
        return CdbReply(status, answer.data[:data_in], answer.written, told)

    def _sense(self, error: TapeError) -> Sense:
        if error.condition is Condition.BUSY:
            return self._device.busy
        return _FAULTS.get(error.id) or _SENSES.get(error.condition, _BROKEN)

    def reset(self) -> None:
        """See :meth:`CdbDoor.reset`."""
        self._guard.reset()
        self._device.reset()
        self._attentions.clear()
        self._attentions.append(RESET)

    def _carried_out(self, cdb: bytes, data: bytes) -> Answer:
        command = self._commands.get(cdb[0]) if cdb else None
        if command is None:
            raise Refusal(_BAD_OPCODE)
        values = command.parse(cdb)
        self._admit(command.name)
        if command.name not in _NEVER_LATE and self._is_late(command.name):
            return Answer(sense=self._attentions.popleft())
        if len(data) < values.get("list_length", 0):
            raise Refusal(Sense(SenseKey.ILLEGAL_REQUEST, 0x1A, 0x00))
        answer = self._handlers[command.name](Request(values, data))
        # What a client allows for an answer cuts it off, and is no error.
        return answer._replace(data=answer.data[: values.get("allocation", len(answer.data))])

    def _is_late(self, command: str) -> bool:
        """Whether a unit attention comes before a command.

        :raises TapeError: ``RESERVED``; what the device cannot be asked for.
        """
        self._hear_guard()
        if not self._attentions:
            self._guard.refuse(command)
            if command not in _WITHOUT_MEDIUM:
                self._hear_device()
        return bool(self._attentions)

    def _hear_guard(self) -> None:
        news = self._guard.news()
        if news == RESET:
            self._device.reset()
        if news is not None:
            self._attentions.append(news)

    def _hear_device(self) -> None:
        news = self._device.news()
        if news is not None:
            self._attentions.append(news)

    def _inquiry(self, request: Request) -> Answer:
        identity = self._device.identity
        kind = identity.inquiry.type
        page = request.values["page"]
        if not request.values["vital"]:
            if page:
                raise Refusal(BAD_FIELD._replace(field=2))
            return Answer(encode_inquiry(identity.inquiry))
        if page == VitalPage.LIST:
            return Answer(encode_page_list(kind, VitalPage))
        if page == VitalPage.SERIAL:
            return Answer(encode_serial(kind, identity.serial))
        if page == VitalPage.IDENTIFICATION:
            return Answer(encode_designators(kind, identity.designators))
        raise Refusal(BAD_FIELD._replace(field=2))

    def _request_sense(self, request: Request) -> Answer:
        self._hear_guard()
        if not self._attentions and self._is_free():
            self._hear_device()
        sense = self._attentions.popleft() if self._attentions else self._device.wish()
        return Answer(encode_sense(sense, as_descriptors=bool(request.values["descriptor"])))

    def _is_free(self) -> bool:
        """Whether this initiator may use what is in the device."""
        try:
            self._guard.refuse("REWIND")
        except TapeError as error:
            if error.condition is Condition.RESERVED:
                return False
            raise
        return True

    def _report_commands(self, request: Request) -> Answer:
        """Which commands there are (SPC, REPORT SUPPORTED OPERATION CODES)."""
        values = request.values
        if values["service_action"] != _SUPPORTED_CODES or values["with_timeouts"]:
            raise Refusal(BAD_FIELD._replace(field=1))
        if values["options"] == _ALL_COMMANDS:
            rows = b"".join(
                bytes((opcode, 0, 0, 0, 0, 0, 0, command.length))
                for opcode, command in sorted(self._commands.items())
            )
            return Answer(len(rows).to_bytes(4, "big") + rows)
        if values["options"] != _ONE_COMMAND:
            raise Refusal(BAD_FIELD._replace(field=2))
        command = self._commands.get(values["opcode"])
        if command is None:
            return Answer(bytes((0, _NOT_SUPPORTED, 0, 0)))
        head = bytes((0, _SUPPORTED)) + command.length.to_bytes(2, "big")
        return Answer(head + command.usage())


_SUPPORTED_CODES: Final = 0x0C
_ALL_COMMANDS, _ONE_COMMAND = 0, 1
_NOT_SUPPORTED, _SUPPORTED = 1, 3


def _let_in(_command: str) -> None:
    """Every command may come."""


def _report_luns(_request: Request) -> Answer:
    """The device alone, as LUN 0."""
    return Answer((8).to_bytes(4, "big") + bytes(12))
