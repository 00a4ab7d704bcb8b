"""What stands between an initiator and a device that another may have reserved.

One guard goes with every device that is opened. It judges commands by the
rules, carries out those that reserve and release, and brings the news of
reservations that others took away. The one rule: news are told once, to the
initiator that they concern, and before its next command is judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.malformed import Malformed
from tapekit.scsi.reservations import (
    OUT_LIST_BYTES,
    Capabilities,
    InAction,
    OutAction,
    ReservationType,
    decode_move_list,
    decode_out_list,
    encode_capabilities,
    encode_full_status,
    encode_keys,
    encode_reservation,
)
from tapekit.scsi.sense import Sense, SenseKey
from tapekit_vtape.errors import CATALOGUE
from tapekit_vtape.reservation_rules import (
    admit,
    changed,
    moved,
    released,
    reserved,
    reset,
    told,
)
from tapekit_vtape.target import BAD_FIELD, BAD_PARAMETER, RESET, Answer, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tapekit_vtape.reservation_book import ReservationBook
    from tapekit_vtape.target import Handler, Request

__all__ = ["DeviceGuard"]

_BAD_LENGTH: Final = Sense(SenseKey.ILLEGAL_REQUEST, 0x1A, 0x00)


@final
class DeviceGuard:
    """A :class:`tapekit_vtape.target.Guard` of one device, for one initiator."""

    def __init__(self, book: ReservationBook, device: str, name: str, initiator: str) -> None:
        """:param device: its name in the book.
        :param name: its name in messages.
        """
        self._book: Final = book
        self._device: Final = device
        self._name: Final = name
        self._initiator: Final = initiator
        self._resets_seen = book.state(device).resets
        self.handlers: Final[Mapping[str, Handler]] = {
            "RESERVE(6)": self._reserve,
            "RELEASE(6)": self._release,
            "PERSISTENT RESERVE IN": self._tell,
            "PERSISTENT RESERVE OUT": self._change,
        }

    def refuse(self, command: str) -> None:
        """See :meth:`Guard.refuse`."""
        admit(self._book.state(self._device), self._initiator, command, self._name)

    def require(self, command: str) -> None:
        """Judge a call that is no SCSI command but needs what one does.

        :raises TapeError: ``RESERVED``: somebody else has the device, or has
            taken a reservation away since the last call.
        """
        news = self.news()
        if news is not None and news != RESET:
            raise CATALOGUE.raised_as(
                TapeError,
                "reservation-lost",
                condition=Condition.RESERVED,
                drive=self._name,
                news=news,
            )
        self.refuse(command)

    def news(self) -> Sense | None:
        """See :meth:`Guard.news`."""
        state = self._book.state(self._device)
        if state.resets != self._resets_seen:
            self._resets_seen = state.resets
            return RESET
        waiting = state.news.get(self._initiator)
        if not waiting:
            return None
        before, _ = self._book.change(self._device, lambda now: told(now, self._initiator))
        codes = before.news.get(self._initiator)
        if not codes:
            return None
        # What came last says most: a registration that is gone, gone with all it had.
        return Sense(SenseKey.UNIT_ATTENTION, *codes[-1])

    def reset(self) -> None:
        """See :meth:`Guard.reset`."""
        _, after = self._book.change(self._device, reset)
        self._resets_seen = after.resets

    def _reserve(self, _request: Request) -> Answer:
        self._book.change(self._device, lambda state: reserved(state, self._initiator, self._name))
        return Answer()

    def _release(self, _request: Request) -> Answer:
        self._book.change(self._device, lambda state: released(state, self._initiator))
        return Answer()

    def _tell(self, request: Request) -> Answer:
        state = self._book.state(self._device)
        action = request.values["service_action"]
        if action == InAction.READ_KEYS:
            return Answer(encode_keys(state.registered))
        if action == InAction.READ_RESERVATION:
            return Answer(encode_reservation(state.reservation))
        if action == InAction.READ_FULL_STATUS:
            return Answer(encode_full_status(state.full_status))
        if action != InAction.REPORT_CAPABILITIES:
            raise Refusal(BAD_FIELD._replace(field=1))
        every = frozenset(map(int, ReservationType))
        return Answer(encode_capabilities(Capabilities(every, True, state.persists)))

    def _change(self, request: Request) -> Answer:
        values = request.values
        if values["scope"]:
            raise Refusal(BAD_FIELD._replace(field=2))
        if values["service_action"] == OutAction.REGISTER_AND_MOVE:
            return self._move(request)
        if values["list_length"] != OUT_LIST_BYTES:
            raise Refusal(_BAD_LENGTH)
        wanted = decode_out_list(request.data)
        self._book.change(
            self._device,
            lambda state: changed(
                state,
                self._initiator,
                self._name,
                values["service_action"],
                wanted,
                values["type"],
            ),
        )
        return Answer(written=OUT_LIST_BYTES)

    def _move(self, request: Request) -> Answer:
        length = request.values["list_length"]
        try:
            wanted = decode_move_list(request.data[:length])
        except Malformed:
            raise Refusal(_BAD_LENGTH if length < OUT_LIST_BYTES else BAD_PARAMETER) from None
        self._book.change(
            self._device,
            lambda state: moved(state, self._initiator, self._name, wanted, request.values["type"]),
        )
        return Answer(written=length)
