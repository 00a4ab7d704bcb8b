"""What an administrator can ask of tape reservations in a running stack."""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from tapekit.hookspecs.operations import NoRequest, Operation, Privilege, option

__all__ = ["CLEAR", "METHOD", "SHOW", "ClearRequest", "ReservationRow", "Reservations", "Standing"]


class Standing(enum.StrEnum):
    """Who has reserved a device."""

    FREE = "free"
    HERE = "this system"
    ELSEWHERE = "another system"
    UNKNOWN = "unknown"


class ReservationRow(msgspec.Struct, frozen=True, kw_only=True):
    """A drive or a changer and its reservation."""

    physical_path: str
    standing: Standing
    holder: str | None = None
    """Who has it open here."""
    key: str = ""
    """The key of a persistent reservation, in hexadecimal; empty without one."""
    unknown_because: str = ""
    """Why it is not known who has reserved the device."""


class Reservations(msgspec.Struct, frozen=True, kw_only=True):
    """The reservations of the devices of a node."""

    node: str
    method: str
    devices: tuple[ReservationRow, ...]


class ClearRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A device whose reservation is to end."""

    device: str
    """A name, a physical path or a serial number."""
    node: str | None = None
    """The node's name, or ``local``; any if not given."""


METHOD: Final = option("tape.reservations", "How drives and changers are reserved")
SHOW: Final = Operation(
    name="reservations.show",
    summary="Tell who has reserved which drive or changer",
    request=NoRequest,
    reply=Reservations,
)
CLEAR: Final = Operation(
    name="reservations.clear",
    summary="End the reservation of a drive or changer that another system holds",
    request=ClearRequest,
    reply=ReservationRow,
    privilege=Privilege.ADVANCED,
)
