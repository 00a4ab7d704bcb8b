"""What an administrator can ask of volume moves in a running stack."""

from __future__ import annotations

from typing import Final

import msgspec

from tapekit.hookspecs.operations import NoRequest, Operation
from tapekit_volume_move.records import CutoverAction, Move

__all__ = ["ABORT", "SHOW", "START", "TRIGGER", "WAIT", "Moves", "StartRequest", "VolumeRequest"]


class StartRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A move that is to begin, or to go on."""

    volume: str
    aggregate: str
    window_s: float = 30.0
    action: CutoverAction = CutoverAction.DEFER


class VolumeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The move of a volume."""

    volume: str


class Moves(msgspec.Struct, frozen=True):
    """The last move of each volume."""

    moves: tuple[Move, ...]


START: Final = Operation(
    name="volume_move.start",
    summary="Begin to move a volume",
    request=StartRequest,
    reply=Move,
)
SHOW: Final = Operation(
    name="volume_move.show",
    summary="Tell how moves of volumes stand",
    request=NoRequest,
    reply=Moves,
)
WAIT: Final = Operation(
    name="volume_move.wait",
    summary="Wait until a move has ended, or its cutover is deferred",
    request=VolumeRequest,
    reply=Move,
)
TRIGGER: Final = Operation(
    name="volume_move.trigger-cutover",
    summary="Try a cutover that is deferred",
    request=VolumeRequest,
    reply=Move,
)
ABORT: Final = Operation(
    name="volume_move.abort",
    summary="End a move before its time",
    request=VolumeRequest,
    reply=Move,
)
