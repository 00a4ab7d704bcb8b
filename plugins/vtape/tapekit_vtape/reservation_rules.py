"""Who may use a device: reservations of both kinds, and what changes them.

An *initiator* is a stack that uses the library, by its name. It reserves a
device for itself with RESERVE(6), or registers a key and reserves with that
(SPC, persistent reservations). Everything here takes a state and answers the
next one. The one rule: who is refused has changed nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.reservations import (
    NO_KEY,
    FullStatus,
    OutAction,
    Registration,
    Reservation,
    ReservationKeys,
    ReservationType,
)
from tapekit.scsi.sense import Sense, SenseKey
from tapekit_vtape.errors import CATALOGUE
from tapekit_vtape.target import BAD_FIELD, BAD_PARAMETER, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.scsi.reservations import MoveList, OutList

__all__ = [
    "FREE",
    "DeviceState",
    "admit",
    "changed",
    "moved",
    "power_lost",
    "released",
    "reserved",
    "reset",
    "told",
]

_RELEASED: Final = (0x2A, 0x04)
_RESERVATIONS_PREEMPTED: Final = (0x2A, 0x03)
_REGISTRATIONS_PREEMPTED: Final = (0x2A, 0x05)
_BAD_RELEASE: Final = Sense(SenseKey.ILLEGAL_REQUEST, 0x26, 0x04)

_MOST_REGISTRATIONS: Final = 256
_NO_ROOM: Final = Sense(SenseKey.ILLEGAL_REQUEST, 0x55, 0x04)


class DeviceState(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The reservations of one device; initiators by their names."""

    simple: str | None = None
    """Who has reserved it with RESERVE(6)."""
    keys: Mapping[str, int] = {}
    """Who has registered, and with which key."""
    holder: str | None = None
    """Who holds the persistent reservation; one of all, where all hold it."""
    type: int | None = None
    """Its :class:`ReservationType`; ``None`` if there is none."""
    generation: int = 0
    """Counts changes of the keys."""
    persists: bool = False
    """Whether registrations outlive a loss of power."""
    resets: int = 0
    """Counts resets."""
    news: Mapping[str, Sequence[tuple[int, int]]] = {}
    """What initiators have not been told yet: additional sense codes."""

    @property
    def contradiction(self) -> str | None:
        """What no change leads to, such as in a damaged file; ``None`` as a rule."""
        if self.type is not None and (self.type not in _TYPES or self.holder not in self.keys):
            return f"a reservation of type {self.type} is held by {self.holder}"
        if not all(0 <= key < 1 << 64 for key in self.keys.values()):
            return "a key is no number of 8 bytes"
        codes = (code for told in self.news.values() for pair in told for code in pair)
        if not all(0 <= code < 1 << 8 for code in codes):
            return "an additional sense code is no number of a byte"
        return None

    @property
    def is_reserved(self) -> bool:
        """Whether anybody has reserved the device."""
        return self.simple is not None or self.type is not None

    @property
    def reservation(self) -> Reservation:
        """As READ RESERVATION tells it."""
        if self.type is None or self.holder is None:
            return Reservation(self.generation)
        is_all = ReservationType(self.type).is_held_by_all
        return Reservation(self.generation, NO_KEY if is_all else self.keys[self.holder], self.type)

    @property
    def registered(self) -> ReservationKeys:
        """As READ KEYS tells it."""
        return ReservationKeys(self.generation, tuple(self.keys.values()))

    @property
    def full_status(self) -> FullStatus:
        """As READ FULL STATUS tells it."""
        return FullStatus(
            self.generation,
            tuple(
                Registration(key, name, self.type if self.holds(name) else None)
                for name, key in self.keys.items()
            ),
        )

    def holds(self, initiator: str) -> bool:
        """Whether an initiator holds the persistent reservation."""
        if self.type is None:
            return False
        if ReservationType(self.type).is_held_by_all:
            return initiator in self.keys
        return self.holder == initiator


FREE: Final = DeviceState()
"""Of a device that nobody has ever reserved."""

_ALWAYS: Final = frozenset(
    {
        "INQUIRY",
        "REQUEST SENSE",
        "REPORT LUNS",
        "REPORT SUPPORTED OPERATION CODES",
        "RELEASE(6)",
        "LOG SENSE",
        "READ BLOCK LIMITS",
        "REPORT DENSITY SUPPORT",
    }
)
"""Commands that no reservation refuses."""

_KEYED: Final = frozenset({"PERSISTENT RESERVE IN", "PERSISTENT RESERVE OUT"})
"""Commands that have rules of their own under persistent reservations."""

_READING: Final = frozenset(
    {
        "TEST UNIT READY",
        "READ(6)",
        "READ POSITION",
        "LOCATE(10)",
        "LOCATE(16)",
        "REWIND",
        "SPACE(6)",
        "SPACE(16)",
        "READ ELEMENT STATUS",
        "MODE SENSE(6)",
        "MODE SENSE(10)",
        "READ ATTRIBUTE",
    }
)
"""Commands that a reservation for writing leaves to others (SSC, SMC)."""


def admit(state: DeviceState, initiator: str, command: str, device: str) -> None:
    """Judge a command, by its name, before it is carried out.

    :raises TapeError: ``RESERVED``, somebody else has the device.
    """
    if command in _ALWAYS:
        return
    if state.simple is not None:
        if state.simple != initiator:
            raise _conflict(device, state.simple)
        return
    if state.type is None or command in _KEYED or state.holds(initiator):
        return
    kind = ReservationType(state.type)
    if kind.is_for_registrants and initiator in state.keys:
        return
    if command == "TEST UNIT READY" or (kind.is_for_writing and command in _READING):
        return
    raise _conflict(device, state.holder or "")


def _conflict(device: str, holder: str) -> TapeError:
    return CATALOGUE.raised_as(
        TapeError,
        "reserved-by-other",
        condition=Condition.RESERVED,
        drive=device,
        holder=holder or "(unknown)",
    )


def reserved(state: DeviceState, initiator: str, device: str) -> DeviceState:
    """RESERVE(6). Whoever has registered a key has chosen the other way.

    :raises TapeError: ``RESERVED``.
    """
    if state.keys:
        raise _conflict(device, state.holder or next(iter(state.keys)))
    return msgspec.structs.replace(state, simple=initiator)


def released(state: DeviceState, initiator: str) -> DeviceState:
    """RELEASE(6); of somebody else's reservation it does nothing."""
    return msgspec.structs.replace(state, simple=None) if state.simple == initiator else state


def reset(state: DeviceState) -> DeviceState:
    """A reset of the device: it ends what RESERVE(6) has reserved, and nothing else."""
    return msgspec.structs.replace(state, simple=None, resets=state.resets + 1)


def power_lost(state: DeviceState) -> DeviceState:
    """The device has lost its power: registrations are left if they were made
    to outlive that, with the persistent reservation, and nothing else. The
    count of changes begins anew (SPC, PRGENERATION).
    """
    if not state.persists:
        state = msgspec.structs.replace(state, keys={}, holder=None, type=None)
    return reset(msgspec.structs.replace(state, news={}, generation=0))


def told(state: DeviceState, initiator: str) -> DeviceState:
    """An initiator has been told its news."""
    news = {name: codes for name, codes in state.news.items() if name != initiator}
    return msgspec.structs.replace(state, news=news)


def changed(
    state: DeviceState,
    initiator: str,
    device: str,
    action: int,
    wanted: OutList,
    kind: int,
) -> DeviceState:
    """PERSISTENT RESERVE OUT.

    :param kind: the type of reservation that the command names.
    :raises TapeError: ``RESERVED``: a wrong key, or somebody else's reservation.
    :raises Refusal: the command is not in order.
    """
    change = _ACTIONS.get(action)
    if change is None:
        raise Refusal(BAD_FIELD._replace(field=1))
    if wanted.names_others:
        raise Refusal(BAD_PARAMETER)
    if action not in (OutAction.REGISTER, OutAction.REGISTER_AND_IGNORE) and (
        initiator not in state.keys or state.keys[initiator] != wanted.key
    ):
        raise _conflict(device, state.holder or "")
    if action in _TYPED and kind not in _TYPES:
        raise Refusal(BAD_FIELD._replace(field=2))
    return change(_Change(initiator, device, wanted, kind), state)


def moved(
    state: DeviceState, initiator: str, device: str, wanted: MoveList, kind: int
) -> DeviceState:
    """PERSISTENT RESERVE OUT, REGISTER AND MOVE: another initiator holds the
    reservation from now on, under a key that it is given.

    :param kind: the type of reservation that the command names.
    :raises TapeError: ``RESERVED``: a wrong key, or somebody else's reservation.
    :raises Refusal: the command is not in order.
    """
    if initiator not in state.keys or state.keys[initiator] != wanted.key:
        raise _conflict(device, state.holder or "")
    if state.type is None or not state.holds(initiator):
        raise _conflict(device, state.holder or "")
    if ReservationType(state.type).is_held_by_all or kind != state.type:
        raise Refusal(BAD_FIELD._replace(field=2))
    if wanted.service_key == NO_KEY or wanted.initiator in ("", initiator):
        raise Refusal(BAD_PARAMETER)
    keys = {**state.keys, wanted.initiator: wanted.service_key}
    if len(keys) > _MOST_REGISTRATIONS:
        raise Refusal(_NO_ROOM)
    if wanted.unregisters:
        del keys[initiator]
    return msgspec.structs.replace(
        state,
        keys=keys,
        holder=wanted.initiator,
        generation=state.generation + 1,
        persists=wanted.persists,
    )


class _Change(NamedTuple):
    """Who asks for what."""

    initiator: str
    device: str
    wanted: OutList
    kind: int


def _register(change: _Change, state: DeviceState) -> DeviceState:
    if state.keys.get(change.initiator, NO_KEY) != change.wanted.key:
        raise _conflict(change.device, state.holder or "")
    return _register_anyway(change, state)


def _register_anyway(change: _Change, state: DeviceState) -> DeviceState:
    initiator, key = change.initiator, change.wanted.service_key
    if key == NO_KEY:
        if initiator not in state.keys:
            return state
        state = _without(state, {initiator})
    elif initiator not in state.keys and len(state.keys) >= _MOST_REGISTRATIONS:
        raise Refusal(_NO_ROOM)
    else:
        state = msgspec.structs.replace(state, keys={**state.keys, initiator: key})
    return msgspec.structs.replace(
        state, generation=state.generation + 1, persists=change.wanted.persists
    )


def _reserve(change: _Change, state: DeviceState) -> DeviceState:
    if state.type is None:
        return msgspec.structs.replace(state, holder=change.initiator, type=change.kind)
    if state.holds(change.initiator) and state.type == change.kind:
        return state
    raise _conflict(change.device, state.holder or "")


def _release(change: _Change, state: DeviceState) -> DeviceState:
    if not state.holds(change.initiator):
        return state
    if state.type != change.kind:
        raise Refusal(_BAD_RELEASE)
    return _freed(state, change.initiator)


def _clear(change: _Change, state: DeviceState) -> DeviceState:
    others = set(state.keys) - {change.initiator}
    state = _inform(state, others, _RESERVATIONS_PREEMPTED)
    return msgspec.structs.replace(
        state, keys={}, holder=None, type=None, generation=state.generation + 1
    )


def _preempt(change: _Change, state: DeviceState) -> DeviceState:
    victim, own = change.wanted.service_key, change.initiator
    is_all = state.type is not None and ReservationType(state.type).is_held_by_all
    if victim == NO_KEY and not is_all:
        raise Refusal(BAD_PARAMETER)
    victims = {name for name, key in state.keys.items() if victim in (key, NO_KEY)}
    if not victims:
        raise _conflict(change.device, state.holder or "")
    takes = state.holder in victims if not is_all else victim == NO_KEY
    victims -= {own}
    if takes:
        # The reservation changes hands; nobody is told that it was released.
        state = msgspec.structs.replace(state, holder=own, type=change.kind)
    state = _inform(_without(state, victims), victims, _REGISTRATIONS_PREEMPTED)
    return msgspec.structs.replace(state, generation=state.generation + 1)


_ACTIONS: Final[Mapping[int, Callable[[_Change, DeviceState], DeviceState]]] = {
    OutAction.REGISTER: _register,
    OutAction.RESERVE: _reserve,
    OutAction.RELEASE: _release,
    OutAction.CLEAR: _clear,
    OutAction.PREEMPT: _preempt,
    # Nothing is under way between two commands that could be aborted.
    OutAction.PREEMPT_AND_ABORT: _preempt,
    OutAction.REGISTER_AND_IGNORE: _register_anyway,
}

_TYPED: Final = frozenset(
    {OutAction.RESERVE, OutAction.RELEASE, OutAction.PREEMPT, OutAction.PREEMPT_AND_ABORT}
)
_TYPES: Final = frozenset(ReservationType)


def _without(state: DeviceState, initiators: set[str]) -> DeviceState:
    """The state without the keys of some; a reservation may end with them."""
    keys = {name: key for name, key in state.keys.items() if name not in initiators}
    holder = state.holder
    state = msgspec.structs.replace(state, keys=keys)
    if state.type is None or holder not in initiators:
        return state
    if keys and ReservationType(state.type).is_held_by_all:
        return msgspec.structs.replace(state, holder=next(iter(keys)))
    return _freed(state, holder)


def _freed(state: DeviceState, by: str | None) -> DeviceState:
    """The state without its reservation, of which those who used it are told."""
    kind = state.type
    state = msgspec.structs.replace(state, holder=None, type=None)
    if kind is None or not ReservationType(kind).is_for_registrants:
        return state
    return _inform(state, set(state.keys) - {by}, _RELEASED)


def _inform(state: DeviceState, initiators: set[str], code: tuple[int, int]) -> DeviceState:
    news = dict(state.news)
    for name in initiators:
        waiting = tuple(news.get(name, ()))
        if code not in waiting:
            news[name] = (*waiting, code)
    return msgspec.structs.replace(state, news=news)
