"""Moves of volumes, and what is remembered of them.

Each volume has at most one record, that of its last move. What may follow on
what is the table :data:`STEPS`. The one rule: a phase is remembered before
anything is done in it, so that a start knows what was cut.
"""

from __future__ import annotations

import enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, final

import msgspec

from tapekit.machine import Machine
from tapekit_volume_move.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tapekit.hookspecs.state import StateStore

__all__ = ["STEPS", "CutoverAction", "Move", "MoveLedger", "Phase", "Step"]

_NAMESPACE: Final = "volume_move.moves"


class CutoverAction(enum.Enum):
    """What is done after a cutover that did not succeed."""

    DEFER = "defer_on_failure"
    ABORT = "abort_on_failure"
    RETRY = "retry_on_failure"
    WAIT = "wait"
    """As defer, and the first one has to be triggered too."""


class Phase(enum.Enum):
    """How a move stands."""

    REPLICATING = "replicating"
    CUTOVER = "cutover"
    DEFERRED = "cutover_deferred"
    COMPLETED = "completed"
    FAILED = "failed"
    ABORTED = "aborted"
    INTERRUPTED = "interrupted"
    """By the end of the server."""

    @property
    def is_on(self) -> bool:
        """Whether the volume is being moved."""
        return self in {Phase.REPLICATING, Phase.CUTOVER, Phase.DEFERRED}


class Step(enum.Enum):
    """What is done with a move."""

    REPLICATE = "replicate"
    CUT_OVER = "cut over"
    DEFER = "defer"
    COMPLETE = "complete"
    FAIL = "fail"
    ABORT = "abort"
    INTERRUPT = "interrupt"


_ENDS: Final[Mapping[Step, Phase]] = MappingProxyType(
    {
        Step.COMPLETE: Phase.COMPLETED,
        Step.FAIL: Phase.FAILED,
        Step.ABORT: Phase.ABORTED,
        Step.INTERRUPT: Phase.INTERRUPTED,
    }
)
_OVER: Final[Mapping[Step, Phase]] = MappingProxyType({Step.ABORT: Phase.ABORTED})

STEPS: Final[Mapping[Phase, Mapping[Step, Phase]]] = MappingProxyType(
    {
        Phase.REPLICATING: {**_ENDS, Step.CUT_OVER: Phase.CUTOVER, Step.DEFER: Phase.DEFERRED},
        Phase.CUTOVER: {
            **_ENDS,
            Step.REPLICATE: Phase.REPLICATING,
            Step.DEFER: Phase.DEFERRED,
        },
        Phase.DEFERRED: {**_ENDS, Step.REPLICATE: Phase.REPLICATING},
        Phase.FAILED: _OVER,
        Phase.INTERRUPTED: _OVER,
        Phase.COMPLETED: {},
        Phase.ABORTED: {},
    }
)
"""The phase after each step that is possible."""


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """One move as it is remembered and shown."""

    id: str
    """32 hexadecimal digits, no other's ever; that of a move that goes on."""
    volume: str
    aggregate: str
    """Where it moves to."""
    arriving: str
    """The name of what is to be the volume."""
    window_s: float
    """How long a cutover may keep jobs waiting."""
    action: CutoverAction
    began_s: float
    """Seconds since 1970; likewise its end."""
    phase: Phase = Phase.REPLICATING
    ended_s: float | None = None
    passes: int = 0
    """How many images have been begun."""
    attempts: int = 0
    """How many cutovers have been tried."""
    bytes: int = 0
    """Of all images."""
    left: str = ""
    """The directory where the volume was, once it has moved."""
    reason: str | None = None
    """Why the cutover was deferred or the move has ended, if it did not succeed,
    or what is to be seen to after it."""

    @property
    def holder(self) -> str:
        """Who holds its Snapshot copies and runs its transfers."""
        return f"volume move of {self.volume}"

    @property
    def prefix(self) -> str:
        """Begins the names of its own Snapshot copies."""
        return f"volume_move.{self.id}."

    def after(self, step: Step, **changes: object) -> Move:
        """The move after a step.

        :raises IllegalTransition: the step is not possible, which is a defect.
        """
        phase = Machine(self.volume, STEPS, self.phase).fire(step)
        return msgspec.structs.replace(self, phase=phase, **changes)


@final
class MoveLedger:
    """All moves of a stack; calls block for a flush of the disk."""

    def __init__(self, store: StateStore) -> None:
        self._store: Final = store

    def every(self) -> Sequence[Move]:
        """The last move of each volume, by volume.

        :raises TapekitError: what is remembered cannot be read.
        """
        rows = self._store.items(_NAMESPACE)
        return [_decoded(volume, value) for volume, value in rows.items()]

    def find(self, volume: str) -> Move | None:
        """The last move of a volume, if there was one.

        :raises TapekitError: what is remembered cannot be read.
        """
        value = self._store.get(_NAMESPACE, volume)
        return None if value is None else _decoded(volume, value)

    def write(self, move: Move) -> Move:
        """Remember a move.

        :raises TapekitError: the state cannot be written.
        """
        self._store.change(_NAMESPACE, {move.volume: msgspec.json.encode(move)})
        return move


def _decoded(volume: str, value: bytes) -> Move:
    try:
        return msgspec.json.decode(value, type=Move)
    except msgspec.DecodeError as error:
        raise CATALOGUE.error("move-not-understood", volume=volume, reason=error) from error
