"""Removes the restartable contexts that a crash has left without use.

A backup that was complete, or had not come far enough, when the server ended
leaves a context whose Snapshot copy nobody needs. The one rule: a context
that can be restarted is never touched.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit_dump.restart_contexts import RestartContexts

__all__ = ["cleaning_up"]

_LOG: Final = logging.getLogger("tapekit.dump")


@contextlib.asynccontextmanager
async def cleaning_up(kernel: Kernel, contexts: RestartContexts | None) -> AsyncIterator[None]:
    """A context beside which contexts without use are removed."""

    async def clean() -> None:
        assert contexts is not None
        # What an abandoned thread does not finish, the next start does.
        failed = await trio.to_thread.run_sync(contexts.clean_up, abandon_on_cancel=True)
        for error in failed:
            _LOG.warning("%s", error.advice)

    if contexts is not None:
        kernel.start_task(clean, "dump: removing restartable contexts without use")
    yield
