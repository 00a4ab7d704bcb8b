"""The door of a changer as its user's own commands find it.

A changer with quirks is sent what it can answer instead of what its user has
sent, and its user gets the answer that a changer without them gives. Who made
it is asked with the first command for which that counts. That the changer was
reset before its user came, as each login to a target is told, is no news to
this user, and heard before the first command. The one rule: what a changer
refuses is refused, in its own words, and no command is sent twice.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit.scsi.cdb import CHANGER_COMMANDS, changer_command
from tapekit.scsi.door import CdbReply, Status
from tapekit.scsi.element_report import (
    cut_report,
    join_report,
    report_length,
    split_report,
)
from tapekit.scsi.elements import ElementType
from tapekit.scsi.malformed import Malformed, number
from tapekit.scsi.sense import SenseKey, decode_sense
from tapekit.scsi_devices.conversation import Conversation
from tapekit.scsi_devices.identity import make_of
from tapekit.scsi_devices.quirks import Quirk, quirks_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.scsi.door import CdbDoor, ScsiAddress
    from tapekit.scsi.element_report import StatusPage

__all__ = ["ChangerDoor"]

_LOG: Final = logging.getLogger("tapekit.scsi_devices")

_READ_STATUS: Final = changer_command("READ ELEMENT STATUS")
_TEST_UNIT_READY: Final = changer_command("TEST UNIT READY").build()
_ALL_TYPES: Final = 0
_TYPES: Final = tuple(ElementType)
_ALL_ELEMENTS: Final = 0xFFFF

_ROOM_BYTES: Final = 16 << 10
"""What the status of a type is asked with at first: some 200 elements."""

_MOST_BYTES: Final = 0xFF_FFFF
_RESET: Final = 0x29
"""Power on, reset, or loss of the connection to the initiator (SPC, ASC)."""

_RESETS: Final = 8
"""As many as a device may have in store for a new user."""

_NEVER_TOLD: Final = frozenset({0x03, 0x12, 0xA0})
"""REQUEST SENSE, INQUIRY, REPORT LUNS: no news comes before these (SPC)."""

_NO_SUCH_ELEMENT: Final = (SenseKey.ILLEGAL_REQUEST, 0x21, 0x01)
"""From a changer that has no element of a type at the address or behind it
(SPC, sense key, ASC and ASCQ)."""


class _Asked(NamedTuple):
    """What a user's READ ELEMENT STATUS asks for; bits that it should not have
    set are not looked at.
    """

    types: Sequence[int]
    start: int
    most: int
    has_tags: bool
    options: int
    """Whether identifiers are wanted, and no motion (DVCID and CURDATA)."""
    room: int

    @classmethod
    def by(cls, cdb: bytes, room: int) -> _Asked:
        """:param room: bytes that the user has room for."""
        block = cdb.ljust(_READ_STATUS.length, b"\0")
        kind = block[1] & 0x0F
        return cls(
            types=_TYPES if kind == _ALL_TYPES else (kind,),
            start=number(block, 2, 2),
            most=number(block, 4, 2),
            has_tags=bool(block[1] & 0x10),
            options=block[6] & 0x03,
            room=min(number(block, 7, 3), room),
        )

    def command(self, kind: int, room: int) -> bytes:
        """The command for one type. Volume tags are always asked for: behind
        them stands nothing that counts, should bytes lack at the end.
        """
        return _READ_STATUS.build(
            tags=1,
            type=kind,
            start=self.start,
            count=_ALL_ELEMENTS,
            identifiers=self.options & 1,
            current=self.options >> 1,
            allocation=room,
        )


class _Refused(Exception):
    """The changer did not carry out a command."""

    def __init__(self, reply: CdbReply) -> None:
        super().__init__(reply)
        self.reply: Final = reply

    @property
    def has_no_element(self) -> bool:
        """Whether it has no such element."""
        return _code(self.reply) == _NO_SUCH_ELEMENT


def _code(reply: CdbReply) -> tuple[int, int, int] | None:
    """Sense key, ASC and ASCQ of a reply; ``None`` if it has none."""
    try:
        sense = decode_sense(reply.sense)
    except Malformed:
        return None
    return sense.key, sense.asc, sense.ascq


@final
class ChangerDoor:
    """A :class:`tapekit.scsi.door.CdbDoor` before another."""

    def __init__(self, door: CdbDoor, device: str) -> None:
        """:param device: the changer's physical path name, for messages."""
        self._door: Final = door
        self._device: Final = device
        self._talk: Final = Conversation(door, device, CHANGER_COMMANDS)
        self._quirks: frozenset[Quirk] | None = None
        """``None`` until it counts."""
        self._is_new = True
        """Whether the user has not heard yet how the changer is."""

    @property
    def address(self) -> ScsiAddress:
        """See :meth:`CdbDoor.address`."""
        return self._door.address

    def execute(
        self, cdb: bytes, *, data_out: bytes = b"", data_in: int = 0, timeout_s: float | None = None
    ) -> CdbReply:
        """See :meth:`CdbDoor.execute`.

        :raises TapeError: there is no answer, or none that can be read.
        """
        if self._is_new and cdb[0] not in _NEVER_TOLD:
            self._is_new = False
            news = self._news(timeout_s)
            if news is not None:
                return news
        if cdb[0] != _READ_STATUS.opcode or not self._has_quirks():
            return self._door.execute(cdb, data_out=data_out, data_in=data_in, timeout_s=timeout_s)
        try:
            return self._read_status(_Asked.by(cdb, data_in), timeout_s)
        except _Refused as refused:
            return refused.reply

    def _news(self, timeout_s: float | None) -> CdbReply | None:
        """What any first command would have met, but for resets; ``None`` if nothing."""
        for _ in range(_RESETS):
            reply = self._door.execute(_TEST_UNIT_READY, timeout_s=timeout_s)
            code = _code(reply)
            if code is None or code[0] != SenseKey.UNIT_ATTENTION:
                return None
            if code[1] != _RESET:
                break
        return reply

    def reset(self) -> None:
        """See :meth:`CdbDoor.reset`."""
        self._door.reset()

    def _has_quirks(self) -> bool:
        if self._quirks is None:
            self._quirks = quirks_of(make_of(self._door, self._device))
            for known in self._quirks:
                _LOG.debug("%s has the quirk %s", self._device, known.name)
        return bool(self._quirks)

    def _read_status(self, asked: _Asked, timeout_s: float | None) -> CdbReply:
        """One report of those of all types.

        :raises _Refused: the changer has none of a type to tell.
        """
        pages: list[StatusPage] = []
        refusals: list[_Refused] = []
        for kind in asked.types:
            try:
                pages += self._pages(asked, kind, timeout_s)
            except _Refused as refused:
                if not refused.has_no_element:
                    raise
                refusals.append(refused)
        if len(refusals) == len(asked.types):
            raise refusals[0]
        if not asked.has_tags:
            pages = [page.without_tags() for page in pages]
        if self._quirks and Quirk.NO_ACCESS_FLAGS in self._quirks:
            pages = [page.accessible() for page in pages]
        return CdbReply(Status.GOOD, cut_report(join_report(pages, asked.most), asked.room))

    def _pages(self, asked: _Asked, kind: int, timeout_s: float | None) -> list[StatusPage]:
        """The pages of one type.

        :raises _Refused: the changer does not tell them.
        """
        room = _ROOM_BYTES
        answer = self._answer(asked.command(kind, room), room, timeout_s)
        whole = self._talk.decoded(_READ_STATUS.name, lambda: report_length(answer))
        if whole > room:
            room = min(whole, _MOST_BYTES)
            answer = self._answer(asked.command(kind, room), room, timeout_s)
        return self._talk.decoded(_READ_STATUS.name, lambda: split_report(answer))

    def _answer(self, cdb: bytes, room: int, timeout_s: float | None) -> bytes:
        reply = self._door.execute(cdb, data_in=room, timeout_s=timeout_s)
        if reply.status != Status.GOOD:
            raise _Refused(reply)
        return reply.data
