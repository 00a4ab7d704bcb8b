"""What an administrator may set for tape reservations."""

from __future__ import annotations

import enum

from msgspec import Struct

__all__ = ["Method", "ReservationsSettings"]


class Method(enum.StrEnum):
    """How devices are reserved."""

    OFF = "off"
    SCSI = "scsi"
    PERSISTENT = "persistent"


class ReservationsSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table ``[reservations]`` of a stack file."""

    method: Method = Method.OFF
    """How drives and changers are reserved while they are open: scsi (RESERVE and
    RELEASE), persistent (PERSISTENT RESERVE), or off. It counts until somebody
    has set the option tape.reservations, which is remembered. All systems that
    share the devices of a library must use the same."""
