"""What an administrator can ask of the backup log of a running stack."""

from __future__ import annotations

from typing import Final

import msgspec

from tapekit.hookspecs.operations import NoReply, Operation, option

__all__ = ["ENABLE", "SWITCH", "SwitchRequest"]


class SwitchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``backup.log.enable``."""

    on: bool


SWITCH: Final = Operation(
    name="eventlog.switch",
    summary="turn event logging on or off",
    request=SwitchRequest,
    reply=NoReply,
)

ENABLE: Final = option("backup.log.enable", "turn event logging on or off, or ask")
"""The same in the words of the guide: ``on`` or ``off``."""
