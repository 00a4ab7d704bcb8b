"""Restartable contexts: backups that can go on where they stopped.

A context is what a backup needs to write the rest of its stream once more: the
words it was asked in, its date, its base, the Snapshot copy that it reads, and
checkpoints, each of which is an offset of the stream and the number of the
object that begins there. Everything stands in the state store; the Snapshot
copy is locked by the storage. The one rule: a context is durable before the
lock is made, so that no lock is ever without a context that undoes it.
"""

from __future__ import annotations

import enum
import json
import secrets
import threading  # noqa: TID251 - sessions and administrators meet here
import uuid
from typing import TYPE_CHECKING, Final, NamedTuple, final

import msgspec

from tapekit.errors import TapekitError
from tapekit_dump.dates import Dump
from tapekit_dump.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tapekit.hookspecs.state import StateStore
    from tapekit.hookspecs.storage import LockingStorage

__all__ = [
    "CHECKPOINTS_NAMESPACE",
    "LOSSES_NAMESPACE",
    "NAMESPACE",
    "BackupStatus",
    "Checkpoint",
    "ContextState",
    "ContextView",
    "RestartContext",
    "RestartContexts",
]

NAMESPACE: Final = "dump.restarts"
CHECKPOINTS_NAMESPACE: Final = "dump.checkpoints"
LOSSES_NAMESPACE: Final = "dump.losses"


class BackupStatus(enum.IntEnum):
    """What became of the backup, as listings of contexts number it."""

    RUNNING = 1
    INTERRUPTED = 2
    FINISHED = 3


class ContextState(enum.IntEnum):
    """What can be done with a context, as listings of contexts number it."""

    WITHOUT_CHECKPOINT = 5
    BUSY = 6
    RESTARTABLE = 7
    TO_BE_CLEANED_UP = 8


class Checkpoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """A place in phase IV from which the stream can be written on."""

    position: int
    """Bytes of the stream before it."""
    number: int
    """The number of the first object behind it; those before are written."""
    offsets: bytes = b""
    """What the offset map has of the files since the checkpoint before."""
    lost: tuple[int, ...] = ()
    """Numbers of objects that could not be written as they are, since the
    checkpoint before."""
    losses: int = 0
    """How much had been lost by then; see :meth:`RestartContexts.note_losses`."""


class RestartContext(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A backup that can be restarted; the state store has it as JSON."""

    id: str
    volume: str
    """``/vserver/volume``."""
    path: str
    """What it backs up, as it was asked for."""
    subpath: str
    """Where that is below the volume."""
    snapshot: str
    pairs: tuple[tuple[str, str], ...]
    """The variables it was asked with."""
    date: int
    level: int
    base: Dump | None = None
    files_start: int
    """Where phase IV begins in the stream."""
    outline: int
    """The check sum of the stream before that."""
    taken_at_s: int
    """When the Snapshot copy was begun, so that no other one of its name is
    taken for it."""
    records_per_block: int
    extent_bytes: int
    """From which length on the first run has searched files for holes, and
    its continuation has to."""
    has_offset_map: bool
    is_auto_created: bool = False
    """Whether the Snapshot copy was made for the backup."""
    updated_s: int
    """When it was last changed, in seconds since 1970."""
    is_cleanup_pending: bool = False
    """Whether it is of no more use, and its Snapshot copy is still to be let go."""
    losses_noted_from: int | None = None
    """From where in the stream on losses are noted; ``None`` if they are not, as
    by releases that knew nothing of that."""

    @property
    def vserver(self) -> str:
        """The storage virtual machine of the volume."""
        return self.volume.split("/")[1]

    @property
    def holder(self) -> str:
        """Who holds the Snapshot copy, as listings show it."""
        return f"restartable backup {self.id}"


class ContextView(NamedTuple):
    """A context as an administrator sees it."""

    context: RestartContext
    is_busy: bool
    is_restartable: bool

    @property
    def status(self) -> BackupStatus:
        """What became of the backup."""
        if self.is_busy:
            return BackupStatus.RUNNING
        is_over = self.context.is_cleanup_pending
        return BackupStatus.FINISHED if is_over else BackupStatus.INTERRUPTED

    @property
    def state(self) -> ContextState:
        """What can be done with it."""
        if self.is_busy:
            return ContextState.BUSY
        if self.context.is_cleanup_pending:
            return ContextState.TO_BE_CLEANED_UP
        if self.is_restartable:
            return ContextState.RESTARTABLE
        return ContextState.WITHOUT_CHECKPOINT


@final
class RestartContexts:
    """All contexts of a stack; callable from any thread."""

    def __init__(
        self, state: StateStore, storage: LockingStorage, clock: Callable[[], float]
    ) -> None:
        self._state: Final = state
        self._storage: Final = storage
        self._clock: Final = clock
        self._lock: Final = threading.Lock()
        self._busy: Final[set[str]] = set()

    def new_id(self) -> str:
        """An identifier that no other context has."""
        return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))

    def views(self, vserver: str | None = None) -> Sequence[ContextView]:
        """The contexts of a storage virtual machine, or all, by identifier."""
        found = map(_decoded, self._state.items(NAMESPACE).values())
        return [self._view(each) for each in found if vserver in {None, each.vserver}]

    def checkpoints(self, context_id: str) -> Sequence[Checkpoint]:
        """What a context can go on from, in the order of the stream."""
        values = self._state.items(CHECKPOINTS_NAMESPACE, f"{context_id}/").values()
        return [msgspec.json.decode(value, type=Checkpoint) for value in values]

    def begin(self, context: RestartContext) -> RestartContext:
        """Keep the context of a running backup, and lock its Snapshot copy.

        :raises TapekitError: the store or the storage refuses.
        """
        with self._lock:
            self._busy.add(context.id)
        self._keep(context)
        auto = self._storage.lock_snapshot(context.volume, context.snapshot, context.holder)
        return self._keep(msgspec.structs.replace(context, is_auto_created=auto))

    def take(self, context_id: str) -> RestartContext:
        """Have a context for a restart; :meth:`give_back` ends that.

        :raises TapekitError: there is none, or it is in use or of no more use.
        """
        with self._lock:
            context = self._known(context_id)
            if context_id in self._busy:
                raise CATALOGUE.error("restart-context-busy", context=context_id)
            if context.is_cleanup_pending or not self.checkpoints(context_id):
                raise CATALOGUE.error("restart-context-used-up", context=context_id)
            self._busy.add(context_id)
        return context

    def go_on_from(self, context: RestartContext, checkpoint: Checkpoint) -> RestartContext:
        """Forget what is behind a checkpoint; gives the context as it is then.

        :raises TapekitError: the store cannot be written.
        """
        at = checkpoint.position
        stale = [each for each in self.checkpoints(context.id) if each.position > at]
        self._change_checkpoints(context, {each.position: None for each in stale})
        noted = self._losses(context.id).items()
        self._forget_losses(key for key, losses in noted if losses > checkpoint.losses)
        noted_from = at if context.losses_noted_from is None else context.losses_noted_from
        return self._keep(msgspec.structs.replace(context, losses_noted_from=min(noted_from, at)))

    def note_losses(self, context: RestartContext, position: int, losses: int) -> None:
        """Keep that something is lost from a place in the stream on, before
        that leaves: what stands for it has another length than what a further
        run may find there.

        :param losses: how much has been lost in all.
        :raises TapekitError: the store cannot be written.
        """
        key = f"{context.id}/{position:020}"
        self._state.change(LOSSES_NAMESPACE, {key: str(losses).encode()})

    def is_certain(self, context: RestartContext, checkpoint: Checkpoint, offset: int) -> bool:
        """Whether nothing was lost between a checkpoint and an offset, so
        that another run makes the same; that losses are noted there is given.
        """
        return offset == checkpoint.position or not any(
            losses > checkpoint.losses and int(key.rpartition("/")[2]) < offset
            for key, losses in self._losses(context.id).items()
        )

    def add(self, context: RestartContext, checkpoints: Sequence[Checkpoint]) -> None:
        """Keep further checkpoints.

        :raises TapekitError: the store cannot be written.
        """
        values = {each.position: msgspec.json.encode(each) for each in checkpoints}
        self._change_checkpoints(context, values)
        self._keep(context)

    def spend(self, context: RestartContext) -> None:
        """The backup is complete, or cannot be restarted.

        :raises TapekitError: the store cannot be written.
        """
        self._keep(msgspec.structs.replace(context, is_cleanup_pending=True))

    def give_back(self, context_id: str) -> None:
        """The backup has ended, and its tree is closed. A context that is of no
        more use goes; if its Snapshot copy cannot be removed, it waits for the
        next start or for an administrator.

        :raises TapekitError: the storage or the store refuses.
        """
        try:
            for context in self._found(context_id):
                if context.is_cleanup_pending or not self.checkpoints(context_id):
                    self._remove(context)
        finally:
            with self._lock:
                self._busy.discard(context_id)

    def delete(self, vserver: str, context_id: str) -> None:
        """Delete a context, and let go of its Snapshot copy.

        :raises TapekitError: there is none, it is in use, or the copy is.
        """
        with self._lock:
            context = self._known(context_id)
            if context.vserver != vserver:
                raise CATALOGUE.error("no-restart-context", context=context_id)
            if context_id in self._busy:
                raise CATALOGUE.error("restart-context-busy", context=context_id)
            self._busy.add(context_id)
        try:
            self.spend(context)
            self._remove(context)
        finally:
            with self._lock:
                self._busy.discard(context_id)

    def clean_up(self) -> Sequence[TapekitError]:
        """Remove what is of no more use, after a start; gives what failed."""
        failed = []
        for view in self.views():
            if view.is_busy or view.is_restartable:
                continue
            try:
                self._remove(view.context)
            except TapekitError as error:
                failed.append(error)
        return failed

    def _remove(self, context: RestartContext) -> None:
        self._storage.unlock_snapshot(context.volume, context.snapshot, context.holder)
        stale = [each.position for each in self.checkpoints(context.id)]
        self._change_checkpoints(context, dict.fromkeys(stale))
        self._forget_losses(self._losses(context.id))
        self._state.change(NAMESPACE, {context.id: None})

    def _keep(self, context: RestartContext) -> RestartContext:
        kept = msgspec.structs.replace(context, updated_s=int(self._clock()))
        self._state.change(NAMESPACE, {context.id: _encoded(kept)})
        return kept

    def _change_checkpoints(
        self, context: RestartContext, values: Mapping[int, bytes | None]
    ) -> None:
        keys = {f"{context.id}/{position:020}": value for position, value in values.items()}
        if keys:
            self._state.change(CHECKPOINTS_NAMESPACE, keys)

    def _losses(self, context_id: str) -> Mapping[str, int]:
        noted = self._state.items(LOSSES_NAMESPACE, f"{context_id}/")
        return {key: int(value) for key, value in noted.items()}

    def _forget_losses(self, keys: Iterable[str]) -> None:
        stale = dict.fromkeys(keys)
        if stale:
            self._state.change(LOSSES_NAMESPACE, stale)

    def _view(self, context: RestartContext) -> ContextView:
        can = not context.is_cleanup_pending and bool(self.checkpoints(context.id))
        with self._lock:
            return ContextView(context, context.id in self._busy, can)

    def _known(self, context_id: str) -> RestartContext:
        found = self._found(context_id)
        if not found:
            raise CATALOGUE.error("no-restart-context", context=context_id)
        return found[0]

    def _found(self, context_id: str) -> Sequence[RestartContext]:
        value = self._state.get(NAMESPACE, context_id)
        return () if value is None else (_decoded(value),)


def _encoded(context: RestartContext) -> bytes:
    # Paths may have bytes that are not UTF-8, as lone surrogates.
    return json.dumps(msgspec.to_builtins(context)).encode()


def _decoded(value: bytes) -> RestartContext:
    return msgspec.convert(json.loads(value), RestartContext)
