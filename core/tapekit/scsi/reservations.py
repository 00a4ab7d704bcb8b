"""Persistent reservations as bytes: what commands bring and what they answer.

A reservation is held by a key that its holder has registered; types say what
others may still do. Both sides of the commands are here, so that whoever
reserves and whoever grants agree. The one rule: a key of zero is no key.
"""

from __future__ import annotations

import enum
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from tapekit.scsi.malformed import Malformed, at_least, number

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "MOST_KEY",
    "NO_KEY",
    "OUT_LIST_BYTES",
    "Capabilities",
    "FullStatus",
    "InAction",
    "MoveList",
    "OutAction",
    "OutList",
    "Registration",
    "Reservation",
    "ReservationKeys",
    "ReservationType",
    "decode_capabilities",
    "decode_full_status",
    "decode_keys",
    "decode_move_list",
    "decode_out_list",
    "decode_reservation",
    "encode_capabilities",
    "encode_full_status",
    "encode_keys",
    "encode_move_list",
    "encode_out_list",
    "encode_reservation",
]

NO_KEY: Final = 0
MOST_KEY: Final = (1 << 64) - 1


class InAction(enum.IntEnum):
    """What PERSISTENT RESERVE IN asks (SPC, service action)."""

    READ_KEYS = 0
    READ_RESERVATION = 1
    REPORT_CAPABILITIES = 2
    READ_FULL_STATUS = 3


class OutAction(enum.IntEnum):
    """What PERSISTENT RESERVE OUT does (SPC, service action)."""

    REGISTER = 0
    RESERVE = 1
    RELEASE = 2
    CLEAR = 3
    PREEMPT = 4
    PREEMPT_AND_ABORT = 5
    REGISTER_AND_IGNORE = 6
    REGISTER_AND_MOVE = 7


class ReservationType(enum.IntEnum):
    """What those who do not hold a reservation may not do (SPC, type)."""

    WRITE_EXCLUSIVE = 1
    EXCLUSIVE_ACCESS = 3
    WRITE_EXCLUSIVE_REGISTRANTS = 5
    """All who have registered may write."""
    EXCLUSIVE_ACCESS_REGISTRANTS = 6
    WRITE_EXCLUSIVE_ALL = 7
    """All who have registered hold it together."""
    EXCLUSIVE_ACCESS_ALL = 8

    @property
    def is_for_registrants(self) -> bool:
        """Whether all who have registered may do what the holder may."""
        return self >= ReservationType.WRITE_EXCLUSIVE_REGISTRANTS

    @property
    def is_held_by_all(self) -> bool:
        """Whether all who have registered hold it."""
        return self >= ReservationType.WRITE_EXCLUSIVE_ALL

    @property
    def is_for_writing(self) -> bool:
        """Whether others may still read."""
        return self in _WRITE_EXCLUSIVE


_WRITE_EXCLUSIVE: Final = frozenset(
    {
        ReservationType.WRITE_EXCLUSIVE,
        ReservationType.WRITE_EXCLUSIVE_REGISTRANTS,
        ReservationType.WRITE_EXCLUSIVE_ALL,
    }
)

_OUT_LIST: Final = struct.Struct(">QQ4xB3x")
OUT_LIST_BYTES: Final = _OUT_LIST.size
"""The only length that a parameter list without transport identifiers has."""

_SPECIFIES_PORTS, _ALL_PORTS, _PERSISTS = 0x08, 0x04, 0x01


class OutList(NamedTuple):
    """The parameter list of PERSISTENT RESERVE OUT."""

    key: int = NO_KEY
    """The key that the sender has registered."""
    service_key: int = NO_KEY
    """The key to register, or that of whoever is to be preempted."""
    persists: bool = False
    """Whether registrations outlive a loss of power (APTPL)."""
    names_others: bool = False
    """Whether the list is about other ports than the sender's (SPEC_I_PT, ALL_TG_PT)."""


def encode_out_list(wanted: OutList) -> bytes:
    """The parameter list of PERSISTENT RESERVE OUT."""
    flags = _PERSISTS * wanted.persists | _ALL_PORTS * wanted.names_others
    return _OUT_LIST.pack(wanted.key, wanted.service_key, flags)


def decode_out_list(data: bytes) -> OutList:
    """Read the parameter list of PERSISTENT RESERVE OUT.

    :raises Malformed: it is too short.
    """
    at_least(data, OUT_LIST_BYTES, "a reservation parameter list")
    key, service_key, flags = _OUT_LIST.unpack_from(data)
    return OutList(
        key,
        service_key,
        persists=bool(flags & _PERSISTS),
        names_others=bool(flags & (_SPECIFIES_PORTS | _ALL_PORTS)),
    )


class MoveList(NamedTuple):
    """The parameter list of PERSISTENT RESERVE OUT with the service action
    REGISTER AND MOVE.
    """

    key: int
    """The key that the sender has registered."""
    service_key: int
    """The key under which the other initiator is registered."""
    initiator: str
    """The iSCSI name of the other initiator."""
    unregisters: bool = False
    """Whether the sender's own key goes (UNREG)."""
    persists: bool = False
    """Whether registrations outlive a loss of power (APTPL)."""


class ReservationKeys(NamedTuple):
    """All keys that are registered, one for each who has."""

    generation: int
    """Changes whenever the keys do."""
    keys: Sequence[int] = ()


class Reservation(NamedTuple):
    """A persistent reservation."""

    generation: int
    key: int = NO_KEY
    """The holder's; none where all registrants hold it."""
    type: int | None = None
    """A :class:`ReservationType`; ``None`` if nothing is reserved."""


class Registration(NamedTuple):
    """A key, whose it is, and whether that one holds the reservation."""

    key: int
    initiator: str
    """Its iSCSI name."""
    type: int | None = None
    """The :class:`ReservationType` that it holds."""


class FullStatus(NamedTuple):
    """All that there is to know of the reservations of a device."""

    generation: int
    registrations: Sequence[Registration] = ()


class Capabilities(NamedTuple):
    """What a device can do with reservations."""

    types: frozenset[int]
    can_persist: bool
    """Whether registrations can outlive a loss of power."""
    persists: bool
    """Whether they do at this moment."""


_KEY_BYTES: Final = 8
_RESERVATION: Final = struct.Struct(">Q4xBB2x")
_TYPE_BITS: Final = {1: 0x0200, 3: 0x0800, 5: 0x2000, 6: 0x4000, 7: 0x8000, 8: 0x0001}
_CAN_PERSIST, _HAS_TYPES, _NOW_PERSISTS = 0x01, 0x80, 0x01
_CAPABILITY_BYTES: Final = 8


def encode_keys(found: ReservationKeys) -> bytes:
    """What READ KEYS answers."""
    keys = b"".join(key.to_bytes(_KEY_BYTES, "big") for key in found.keys)
    return _head(found.generation, keys)


def decode_keys(data: bytes) -> ReservationKeys:
    """Read what READ KEYS answers; keys that were cut off are left out.

    :raises Malformed: it is too short.
    """
    generation, body = _body(data)
    whole = len(body) // _KEY_BYTES
    return ReservationKeys(
        generation, tuple(number(body, at * _KEY_BYTES, _KEY_BYTES) for at in range(whole))
    )


def encode_reservation(found: Reservation) -> bytes:
    """What READ RESERVATION answers."""
    body = b"" if found.type is None else _RESERVATION.pack(found.key, 0, found.type)
    return _head(found.generation, body)


def decode_reservation(data: bytes) -> Reservation:
    """Read what READ RESERVATION answers.

    :raises Malformed: it is too short.
    """
    generation, body = _body(data)
    if len(body) < _RESERVATION.size:
        return Reservation(generation)
    key, _obsolete, scope_and_type = _RESERVATION.unpack_from(body)
    return Reservation(generation, key, scope_and_type & 0x0F)


_MOVE_LIST: Final = struct.Struct(">QQxB2xI")
_REGISTRATION: Final = struct.Struct(">Q4xBB4xHI")
_UNREGISTERS, _MOVE_PERSISTS, _HOLDS = 0x02, 0x01, 0x01
_ISCSI, _LEAST_NAME_BYTES = 0x05, 20
_ONLY_PORT: Final = 1
_LONGEST_NAME: Final = 223
"""Bytes of an iSCSI name (RFC 7143)."""


def _transport_id(initiator: str) -> bytes:
    """How a parameter names an initiator (SPC, TransportID of iSCSI)."""
    name = initiator.encode() + b"\0"
    name += bytes(max(-len(name) % 4, _LEAST_NAME_BYTES - len(name)))
    return bytes((_ISCSI, 0)) + len(name).to_bytes(2, "big") + name


def _initiator(data: bytes) -> str:
    at_least(data, 4, "a TransportID")
    name = data[4 : 4 + number(data, 2, 2)]
    if data[0] != _ISCSI:
        raise Malformed(f"the TransportID {data[:4].hex()} is none of iSCSI")
    initiator = name.partition(b"\0")[0]
    if len(initiator) > _LONGEST_NAME:
        raise Malformed(f"an iSCSI name has {len(initiator)} bytes")
    try:
        return initiator.decode()
    except UnicodeDecodeError:
        raise Malformed(f"the iSCSI name {initiator!r} is no UTF-8") from None


def encode_move_list(wanted: MoveList) -> bytes:
    """The parameter list of REGISTER AND MOVE."""
    name = _transport_id(wanted.initiator)
    flags = _UNREGISTERS * wanted.unregisters | _MOVE_PERSISTS * wanted.persists
    return _MOVE_LIST.pack(wanted.key, wanted.service_key, flags, len(name)) + name


def decode_move_list(data: bytes) -> MoveList:
    """Read the parameter list of REGISTER AND MOVE.

    :raises Malformed: it is too short, or names no initiator of iSCSI.
    """
    at_least(data, _MOVE_LIST.size, "a parameter list of REGISTER AND MOVE")
    key, service_key, flags, length = _MOVE_LIST.unpack_from(data)
    name = data[_MOVE_LIST.size : _MOVE_LIST.size + length]
    return MoveList(
        key,
        service_key,
        _initiator(name),
        unregisters=bool(flags & _UNREGISTERS),
        persists=bool(flags & _MOVE_PERSISTS),
    )


def encode_full_status(found: FullStatus) -> bytes:
    """What READ FULL STATUS answers."""
    rows = bytearray()
    for one in found.registrations:
        name = _transport_id(one.initiator)
        holds = _HOLDS * (one.type is not None)
        rows += _REGISTRATION.pack(one.key, holds, one.type or 0, _ONLY_PORT, len(name)) + name
    return _head(found.generation, bytes(rows))


def decode_full_status(data: bytes) -> FullStatus:
    """Read what READ FULL STATUS answers; what was cut off is left out.

    :raises Malformed: it is too short, or names another initiator than of iSCSI.
    """
    generation, rest = _body(data)
    found = []
    while len(rest) >= _REGISTRATION.size:
        key, flags, scope_and_type, _port, length = _REGISTRATION.unpack_from(rest)
        end = _REGISTRATION.size + length
        if len(rest) < end:
            break
        kind = scope_and_type & 0x0F if flags & _HOLDS else None
        found.append(Registration(key, _initiator(rest[_REGISTRATION.size : end]), kind))
        rest = rest[end:]
    return FullStatus(generation, tuple(found))


def encode_capabilities(found: Capabilities) -> bytes:
    """What REPORT CAPABILITIES answers."""
    mask = 0
    for kind in found.types:
        mask |= _TYPE_BITS[kind]
    flags = bytes((_CAN_PERSIST * found.can_persist, _HAS_TYPES | _NOW_PERSISTS * found.persists))
    return _CAPABILITY_BYTES.to_bytes(2, "big") + flags + mask.to_bytes(2, "big") + bytes(2)


def decode_capabilities(data: bytes) -> Capabilities:
    """Read what REPORT CAPABILITIES answers.

    :raises Malformed: it is too short.
    """
    at_least(data, 6, "reservation capabilities")
    mask = number(data, 4, 2) if data[3] & _HAS_TYPES else 0
    return Capabilities(
        frozenset(kind for kind, bit in _TYPE_BITS.items() if mask & bit),
        can_persist=bool(data[2] & _CAN_PERSIST),
        persists=bool(data[3] & _NOW_PERSISTS),
    )


def _head(generation: int, body: bytes) -> bytes:
    return (generation & 0xFFFF_FFFF).to_bytes(4, "big") + len(body).to_bytes(4, "big") + body


def _body(data: bytes) -> tuple[int, bytes]:
    at_least(data, 8, "an answer to PERSISTENT RESERVE IN")
    return number(data, 0, 4), data[8 : 8 + number(data, 4, 4)]
