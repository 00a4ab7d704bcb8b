"""The changer of a virtual library as a SCSI target (SMC).

Commands become calls of :class:`VtapeChanger`, and what it tells of its
elements becomes element status data. The one rule: a list is cut where the
client has no more room for it, and says how long the whole would be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.media_changer import ElementType
from tapekit.scsi.cdb import CHANGER_COMMANDS
from tapekit.scsi.element_report import cut_report
from tapekit.scsi.elements import encode_elements
from tapekit.scsi.mode import (
    ALL_PAGES,
    ELEMENT_ADDRESS_PAGE,
    ModeData,
    ModePage,
    encode_element_addresses,
    encode_mode,
)
from tapekit.scsi.sense import NO_SENSE, Sense, SenseKey
from tapekit_vtape.target import BAD_FIELD, Answer, Refusal, TargetDoor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tapekit.scsi.cdb import Command
    from tapekit_vtape.changer import VtapeChanger
    from tapekit_vtape.identity import Identity
    from tapekit_vtape.target import Guard, Handler, Request

__all__ = ["changer_door"]

_CAPABILITIES_PAGE: Final = 0x1F
_BAD_ELEMENT: Final = Sense(SenseKey.ILLEGAL_REQUEST, 0x21, 0x01)
_MAIL: Final = Sense(SenseKey.UNIT_ATTENTION, 0x28, 0x01)
_CHANGEABLE, _SAVED = 1, 3

_TYPES: Final = frozenset(ElementType)

_STORING: Final = 0x0E
"""Types that keep a cartridge, a bit each: slots, mail slots, drives."""

_NOWHERE: Final = 0x00


def changer_door(changer: VtapeChanger, identity: Identity, guard: Guard) -> TargetDoor:
    """The door of a changer that is just being opened."""
    return TargetDoor(_ChangerTarget(changer, identity), guard)


@final
class _ChangerTarget:
    """A :class:`tapekit_vtape.target.Device` over a changer."""

    commands: Final[Mapping[int, Command]] = CHANGER_COMMANDS
    busy: Final = Sense(SenseKey.ILLEGAL_REQUEST, 0x53, 0x02)

    def __init__(self, changer: VtapeChanger, identity: Identity) -> None:
        self.identity: Final = identity
        self._changer: Final = changer
        self._mail_seen: Sequence[str | None] | None = None
        self.handlers: Final[Mapping[str, Handler]] = {
            "TEST UNIT READY": self._initialize,
            "INITIALIZE ELEMENT STATUS": self._initialize,
            "INITIALIZE ELEMENT STATUS WITH RANGE": self._initialize,
            "READ ELEMENT STATUS": self._read_status,
            "MOVE MEDIUM": self._move,
            "EXCHANGE MEDIUM": self._exchange,
            "POSITION TO ELEMENT": self._position,
            "PREVENT ALLOW MEDIUM REMOVAL": _allow,
            "MODE SENSE(6)": self._mode_sense_6,
            "MODE SENSE(10)": self._mode_sense_10,
        }

    def news(self) -> Sense | None:
        """See :meth:`Device.news`: somebody was at the mail slots."""
        before, self._mail_seen = self._mail_seen, self._changer.mail()
        return None if before in (None, self._mail_seen) else _MAIL

    def wish(self) -> Sense:
        """See :meth:`Device.wish`: none."""
        return NO_SENSE

    def reset(self) -> None:
        """See :meth:`Device.reset`: nothing is set."""

    def _initialize(self, _request: Request) -> Answer:
        self._changer.initialize()
        return Answer()

    def _read_status(self, request: Request) -> Answer:
        values = request.values
        kind, start, count = values["type"], values["start"], values["count"]
        if kind and kind not in _TYPES:
            raise Refusal(BAD_FIELD._replace(field=1))
        told = [
            element
            for element in self._changer.elements()
            if element.address >= start and kind in (0, element.type)
        ]
        if not told and start:
            raise Refusal(_BAD_ELEMENT)
        # The elements with the lowest addresses are told, type by type.
        told = sorted(told, key=lambda element: element.address)[:count]
        told.sort(key=lambda element: (element.type, element.address))
        report = encode_elements(
            told,
            with_tags=bool(values["tags"]),
            with_identifiers=bool(values["identifiers"]),
        )
        return Answer(cut_report(report, values["allocation"]))

    def _move(self, request: Request) -> Answer:
        self._check_arm(request)
        self._changer.move(request.values["source"], request.values["destination"])
        self._mail_seen = self._changer.mail()
        return Answer()

    def _exchange(self, request: Request) -> Answer:
        values = request.values
        self._check_arm(request)
        self._changer.exchange(values["source"], values["destination"], values["second"])
        self._mail_seen = self._changer.mail()
        return Answer()

    def _position(self, request: Request) -> Answer:
        self._check_arm(request)
        if request.values["destination"] != self._changer.addresses.transport.first:
            self._changer.require(request.values["destination"])
        return Answer()

    def _check_arm(self, request: Request) -> None:
        """Refuse another arm than the one there is, and to turn cartridges over."""
        arm = self._changer.addresses.transport.first
        if request.values["transport"] not in (0, arm):
            raise Refusal(_BAD_ELEMENT)
        if request.values["invert"] or request.values.get("invert_second"):
            raise Refusal(BAD_FIELD)

    def _mode_sense_6(self, request: Request) -> Answer:
        return Answer(encode_mode(self._sensed(request.values), is_long=False))

    def _mode_sense_10(self, request: Request) -> Answer:
        return Answer(encode_mode(self._sensed(request.values), is_long=True))

    def _sensed(self, values: Mapping[str, int]) -> ModeData:
        pages = {
            ELEMENT_ADDRESS_PAGE: encode_element_addresses(self._changer.addresses),
            _CAPABILITIES_PAGE: _capabilities(),
        }
        page = values["page"]
        if values["subpage"] or values["control"] == _SAVED:
            raise Refusal(BAD_FIELD._replace(field=3 if values["subpage"] else 2))
        if page != ALL_PAGES and page not in pages:
            raise Refusal(BAD_FIELD._replace(field=2))
        told = tuple(pages.values()) if page == ALL_PAGES else (pages[page],)
        if values["control"] == _CHANGEABLE:
            told = tuple(ModePage(one.code, bytes(len(one.body))) for one in told)
        return ModeData(pages=told)


def _capabilities() -> ModePage:
    """Which moves and exchanges are possible: all but those with the arm."""
    from_any = (_NOWHERE, _STORING, _STORING, _STORING)
    return ModePage(
        _CAPABILITIES_PAGE, bytes((_STORING, 0, *from_any, 0, 0, 0, 0, *from_any, 0, 0, 0, 0))
    )


def _allow(_request: Request) -> Answer:
    """The door of a library in a folder has no lock to turn."""
    return Answer()
