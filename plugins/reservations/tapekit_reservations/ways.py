"""The two ways in which a device is reserved (SPC).

RESERVE(6) belongs to the initiator alone, and a reset of the device ends it;
a persistent reservation belongs to a registered key and outlives resets. The
one rule: what a failed attempt has registered is taken back, so that nothing
is left on a device that is not ours.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, Protocol, final

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.cdb import TAPE_COMMANDS
from tapekit.scsi.reservations import (
    NO_KEY,
    OUT_LIST_BYTES,
    InAction,
    OutAction,
    OutList,
    ReservationType,
    decode_reservation,
    encode_out_list,
)
from tapekit.scsi_devices.conversation import Conversation
from tapekit_reservations.errors import CATALOGUE
from tapekit_reservations.settings import Method

if TYPE_CHECKING:
    from tapekit.scsi.door import CdbDoor
    from tapekit.scsi.reservations import Reservation

__all__ = ["PersistentWay", "ScsiWay", "Way", "preempted"]

_ANSWER_BYTES: Final = 0xFF
_TYPE: Final = ReservationType.EXCLUSIVE_ACCESS
_ELSEWHERE: Final = "is reserved by another system"


def preempted(device: str, reason: str) -> TapeError:
    """The error of a device that another system has.

    :param reason: goes on after the device's name.
    """
    return CATALOGUE.raised_as(
        TapeError,
        "reservation-preempted",
        condition=Condition.RESERVED,
        device=device,
        reason=reason,
    )


class Way(Protocol):
    """One device, reserved in one way."""

    def take(self) -> None:
        """Reserve the device.

        :raises TapeError: ``RESERVED``, another system has it;
            ``BAD_REQUEST``, it cannot be reserved so; it does not answer.
        """
        ...

    def give_back(self) -> None:
        """Let others have the device.

        :raises TapeError: it does not answer, or has been taken away.
        """
        ...

    def is_held_after_reset(self) -> bool:
        """Whether the reservation has outlived a reset of the device, or the
        loss of a path to it; it is held over the path in use then.

        :raises TapeError: it does not answer.
        """
        ...

    @property
    def other_news(self) -> int:
        """How much the device has told while it was asked that concerns
        whoever uses it, but for resets.
        """
        ...


@final
class ScsiWay:
    """A :class:`Way`: RESERVE(6) and RELEASE(6)."""

    def __init__(self, door: CdbDoor, device: str) -> None:
        """:param device: the device's physical path name, for messages."""
        self._talk: Final = Conversation(door, device, TAPE_COMMANDS)
        self._device: Final = device

    def take(self) -> None:
        """See :meth:`Way.take`."""
        try:
            self._talk.run("RESERVE(6)")
        except TapeError as error:
            raise _explained(error, self._device, Method.SCSI, _ELSEWHERE) from error

    def give_back(self) -> None:
        """See :meth:`Way.give_back`."""
        self._talk.run("RELEASE(6)")

    def is_held_after_reset(self) -> bool:
        """See :meth:`Way.is_held_after_reset`: never (SPC, RESERVE)."""
        return False

    @property
    def other_news(self) -> int:
        """See :meth:`Way.other_news`."""
        return self._talk.other_news


@final
class PersistentWay:
    """A :class:`Way`: PERSISTENT RESERVE, exclusive access, under one key."""

    def __init__(self, door: CdbDoor, device: str, key: int) -> None:
        """:param device: the device's physical path name, for messages.
        :param key: this system's.
        """
        self._talk: Final = Conversation(door, device, TAPE_COMMANDS)
        self._device: Final = device
        self._key: Final = key

    def take(self) -> None:
        """See :meth:`Way.take`. A reservation under this system's own key, of
        an earlier process or over another path, is taken over.
        """
        try:
            self._register()
            try:
                self._reserve()
            except BaseException:
                with contextlib.suppress(TapeError):
                    self._unregister()
                raise
        except TapeError as error:
            raise _explained(error, self._device, Method.PERSISTENT, _ELSEWHERE) from error

    def _reserve(self) -> None:
        try:
            self._out(OutAction.RESERVE)
        except TapeError as error:
            if error.condition is not Condition.RESERVED:
                raise
            holder = self.reservation().key
            if holder == self._key:
                self._take_from_own_key()
                return
            raise preempted(self._device, f"{_ELSEWHERE}, under the key {holder:016x}") from error

    def give_back(self) -> None:
        """See :meth:`Way.give_back`."""
        self._out(OutAction.RELEASE)
        self._unregister()

    def _take_from_own_key(self) -> None:
        """Take over what this system has reserved before, or over another
        path; what was sent over that is not carried out any more.
        """
        try:
            self._out(OutAction.PREEMPT_AND_ABORT, service_key=self._key)
        except TapeError as error:
            if error.condition is not Condition.BAD_REQUEST:
                raise
            self._out(OutAction.PREEMPT, service_key=self._key)

    def is_held_after_reset(self) -> bool:
        """See :meth:`Way.is_held_after_reset`. The path in use may be another
        one, which is registered under the same key then.
        """
        if self.reservation().key != self._key:
            return False
        self._register()
        self._take_from_own_key()
        return self.reservation().key == self._key

    @property
    def other_news(self) -> int:
        """See :meth:`Way.other_news`."""
        return self._talk.other_news

    def reservation(self) -> Reservation:
        """The reservation of the device, whoever holds it.

        :raises TapeError: it does not answer, or has none of this kind.
        """
        name = "PERSISTENT RESERVE IN"
        data = self._talk.run(
            name,
            room=_ANSWER_BYTES,
            service_action=InAction.READ_RESERVATION,
            allocation=_ANSWER_BYTES,
        )
        return self._talk.decoded(name, lambda: decode_reservation(data))

    def break_off(self, holder: int) -> None:
        """End a reservation that is held under another key.

        :raises TapeError: the device does not do it.
        """
        self._register()
        self._out(OutAction.PREEMPT, service_key=holder)
        self.give_back()

    def _register(self) -> None:
        # Whatever this path has registered before: an earlier process may have.
        self._out(OutAction.REGISTER_AND_IGNORE, key=NO_KEY, service_key=self._key)

    def _unregister(self) -> None:
        self._out(OutAction.REGISTER, service_key=NO_KEY)

    def _out(self, action: OutAction, *, key: int | None = None, service_key: int = NO_KEY) -> None:
        wanted = OutList(self._key if key is None else key, service_key)
        self._talk.run(
            "PERSISTENT RESERVE OUT",
            encode_out_list(wanted),
            service_action=action,
            type=_TYPE,
            list_length=OUT_LIST_BYTES,
        )


def _explained(error: TapeError, device: str, method: Method, reason: str) -> TapeError:
    """What a device's refusal means to somebody who wanted to reserve it."""
    if error.id.startswith("reservations."):
        return error
    if error.condition is Condition.RESERVED:
        return preempted(device, reason)
    if error.condition is Condition.BAD_REQUEST:
        return CATALOGUE.raised_as(
            TapeError,
            "not-supported",
            condition=Condition.BAD_REQUEST,
            device=device,
            method=method.value,
            reason=error,
        )
    return error
