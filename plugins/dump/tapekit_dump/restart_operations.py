"""What an administrator can ask of restartable contexts, as both ends know it.

Commands send these requests and the running stack answers them; see
``tapekit.hookspecs.operations``. The one rule: a context that a running
backup uses cannot be deleted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import msgspec
import trio

from tapekit.hookspecs.operations import NoReply, Operation
from tapekit_dump.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit.hookspecs.operations import OfferedOperation
    from tapekit_dump.restart_contexts import ContextView, RestartContexts

__all__ = [
    "CONTEXTS",
    "DELETE_CONTEXT",
    "ContextChoice",
    "ContextName",
    "ContextRow",
    "ContextRows",
    "RestartOperations",
]

_RESTART_PASS: Final = 4
"""Only phase IV restarts."""


class ContextChoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which contexts are meant; without a name, all."""

    vserver: str | None = None
    context_id: str | None = None


class ContextName(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One context."""

    vserver: str
    context_id: str


class ContextRow(msgspec.Struct, frozen=True, kw_only=True):
    """A context in full."""

    vserver: str
    context_id: str
    volume: str
    """``/vserver/volume``."""
    is_cleanup_pending: bool
    """Whether it is of no more use, and its Snapshot copy is still there."""
    engine: str
    is_snapshot_auto_created: bool
    dump_path: str
    level: int
    dump_name: str
    """``DMP_NAME``, or the path."""
    updated_s: int
    """Seconds since 1970."""
    has_offset_map: bool
    offset_verify: bool
    """Whether a restart compares its offsets with those of the first run."""
    is_restartable: bool
    is_busy: bool
    restart_pass: int
    status: int
    """1 running, 2 interrupted, 3 finished."""
    snapshot: str
    state: int
    """5 without a checkpoint, 6 busy, 7 restartable, 8 to be cleaned up."""
    checkpoint_bytes: int
    """Where in the stream the last checkpoint is."""


class ContextRows(msgspec.Struct, frozen=True):
    """Contexts by identifier."""

    contexts: tuple[ContextRow, ...]


CONTEXTS: Final = Operation(
    name="dump.restart-contexts",
    summary="List the backups that can be restarted",
    request=ContextChoice,
    reply=ContextRows,
)

DELETE_CONTEXT: Final = Operation(
    name="dump.delete-restart-context",
    summary="Delete a restartable context, and let go of its Snapshot copy",
    request=ContextName,
    reply=NoReply,
)


@final
class RestartOperations:
    """Performs the operations."""

    def __init__(self, contexts: Callable[[], RestartContexts | None]) -> None:
        """:param contexts: asked once the stack is assembled."""
        self._contexts: Final = contexts

    def offered(self) -> Sequence[OfferedOperation]:
        """The operations as the plugin offers them."""
        return (CONTEXTS.performed_by(self._list), DELETE_CONTEXT.performed_by(self._delete))

    async def _list(self, choice: ContextChoice) -> ContextRows:
        return await trio.to_thread.run_sync(self._rows, choice)

    async def _delete(self, name: ContextName) -> NoReply:
        contexts = self._contexts()
        if contexts is None:
            raise CATALOGUE.error("no-restart-context", context=name.context_id)
        await trio.to_thread.run_sync(contexts.delete, name.vserver, name.context_id)
        return NoReply()

    def _rows(self, choice: ContextChoice) -> ContextRows:
        contexts, wanted = self._contexts(), choice.context_id
        if contexts is None:
            return ContextRows(())
        rows = tuple(
            _row(view, contexts)
            for view in contexts.views(choice.vserver)
            if wanted in {None, view.context.id}
        )
        if wanted is not None and not rows:
            raise CATALOGUE.error("no-restart-context", context=wanted)
        return ContextRows(rows)


def _row(view: ContextView, contexts: RestartContexts) -> ContextRow:
    context = view.context
    known = contexts.checkpoints(context.id)
    return ContextRow(
        vserver=context.vserver,
        context_id=context.id,
        volume=context.volume,
        is_cleanup_pending=context.is_cleanup_pending,
        engine="dump",
        is_snapshot_auto_created=context.is_auto_created,
        dump_path=_shown(context.path),
        level=context.level,
        dump_name=_shown(dict(context.pairs).get("DMP_NAME") or context.path),
        updated_s=context.updated_s,
        has_offset_map=context.has_offset_map,
        offset_verify=True,
        is_restartable=view.is_restartable,
        is_busy=view.is_busy,
        restart_pass=_RESTART_PASS,
        status=view.status,
        snapshot=context.snapshot,
        state=view.state,
        checkpoint_bytes=known[-1].position if known else 0,
    )


def _shown(text: str) -> str:
    """A text of any bytes as one that can be sent."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
