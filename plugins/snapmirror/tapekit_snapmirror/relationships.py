"""Relationships between volumes, and what is remembered of them.

A relationship belongs to its destination, of which there is one only, and is
kept in the stack's state; no backup has it. What may be done in which state
is the table :data:`STEPS`. The one rule: a transfer is remembered before it
begins and after it has ended, so that a start knows which one was cut.
"""

from __future__ import annotations

import enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, final

import msgspec

from tapekit.machine import IllegalTransition, Machine
from tapekit_snapmirror.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tapekit.hookspecs.state import StateStore

__all__ = [
    "PREFIX",
    "STEPS",
    "LastTransfer",
    "MirrorState",
    "Relationship",
    "RelationshipKind",
    "Relationships",
    "Step",
    "TransferStatus",
]

_NAMESPACE: Final = "snapmirror.relationships"

PREFIX: Final = "snapmirror."
"""Begins the names of the Snapshot copies that relationships make for themselves."""


class RelationshipKind(enum.Enum):
    """What a destination is kept as."""

    MIRROR = "mirror"
    """It has the Snapshot copies that its source has."""
    VAULT = "vault"
    """It keeps those that its source has no more."""


class MirrorState(enum.Enum):
    """How a destination stands to its source."""

    UNINITIALIZED = "uninitialized"
    SNAPMIRRORED = "snapmirrored"
    BROKEN_OFF = "broken-off"


class TransferStatus(enum.Enum):
    """Whether something is on its way."""

    IDLE = "idle"
    TRANSFERRING = "transferring"


class Step(enum.Enum):
    """What is done to a relationship."""

    INITIALIZE = "initialize"
    UPDATE = "update"
    BREAK = "break"
    RESYNC = "resync"


STEPS: Final[Mapping[MirrorState, Mapping[Step, MirrorState]]] = MappingProxyType(
    {
        MirrorState.UNINITIALIZED: {
            Step.INITIALIZE: MirrorState.SNAPMIRRORED,
            Step.RESYNC: MirrorState.SNAPMIRRORED,
        },
        MirrorState.SNAPMIRRORED: {
            Step.UPDATE: MirrorState.SNAPMIRRORED,
            Step.BREAK: MirrorState.BROKEN_OFF,
            Step.RESYNC: MirrorState.SNAPMIRRORED,
        },
        MirrorState.BROKEN_OFF: {Step.RESYNC: MirrorState.SNAPMIRRORED},
    }
)
"""The state after each step that is possible; one that fails changes none."""


class LastTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """How the last transfer ended."""

    step: Step
    ended_at_s: float
    """Seconds since 1970."""
    bytes: int
    """Of the stream that was sent."""
    error: str | None = None
    """Why it failed, if it did."""


class Relationship(msgspec.Struct, frozen=True, kw_only=True):
    """One relationship as it is remembered and shown."""

    id: str
    """32 hexadecimal digits, no other's ever."""
    source: str
    destination: str
    kind: RelationshipKind
    state: MirrorState = MirrorState.UNINITIALIZED
    status: TransferStatus = TransferStatus.IDLE
    step: Step | None = None
    """What the transfer that runs is for."""
    generation: int = 0
    """How many Snapshot copies it has made at its source."""
    common: str | None = None
    """Name of the newest Snapshot copy that both volumes have."""
    last: LastTransfer | None = None

    @property
    def holder(self) -> str:
        """Who holds its Snapshot copies, for listings."""
        return f"snapmirror of {self.destination}"

    @property
    def prefix(self) -> str:
        """Begins the names of its own Snapshot copies."""
        return f"{PREFIX}{self.id}."

    def after(self, step: Step) -> MirrorState:
        """The state after a step.

        :raises TapekitError: the step is not possible now.
        """
        machine = Machine(self.destination, STEPS, self.state)
        try:
            return machine.fire(step)
        except IllegalTransition as error:
            possible = ", ".join(each.value for each in STEPS[self.state])
            raise CATALOGUE.error(
                "step-not-possible",
                destination=self.destination,
                step=step.value,
                state=self.state.value,
                possible=possible,
            ) from error


@final
class Relationships:
    """All relationships of a stack; calls block for a flush of the disk."""

    def __init__(self, store: StateStore) -> None:
        self._store: Final = store

    def all(self) -> Sequence[Relationship]:
        """All, by the names of their destinations.

        :raises TapekitError: what is remembered cannot be read.
        """
        rows = self._store.items(_NAMESPACE)
        return [_decoded(destination, value) for destination, value in rows.items()]

    def find(self, destination: str) -> Relationship | None:
        """The one of a destination, if there is one.

        :raises TapekitError: what is remembered cannot be read.
        """
        value = self._store.get(_NAMESPACE, destination)
        return None if value is None else _decoded(destination, value)

    def get(self, destination: str) -> Relationship:
        """The one of a destination.

        :raises TapekitError: there is none, or it cannot be read.
        """
        found = self.find(destination)
        if found is None:
            raise CATALOGUE.error("no-such-relationship", destination=destination)
        return found

    def write(self, relationship: Relationship) -> Relationship:
        """Remember a relationship.

        :raises TapekitError: the state cannot be written.
        """
        value = msgspec.json.encode(relationship)
        self._store.change(_NAMESPACE, {relationship.destination: value})
        return relationship

    def forget(self, relationship: Relationship) -> None:
        """Forget a relationship.

        :raises TapekitError: the state cannot be written.
        """
        self._store.change(_NAMESPACE, {relationship.destination: None})


def _decoded(destination: str, value: bytes) -> Relationship:
    try:
        return msgspec.json.decode(value, type=Relationship)
    except msgspec.DecodeError as error:
        raise CATALOGUE.error(
            "relationship-not-understood", destination=destination, reason=error
        ) from error
