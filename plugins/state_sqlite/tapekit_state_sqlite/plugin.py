"""The state store as a plugin: manifest, settings and hooks.

The file is looked at when the stack starts, so that a damaged one is told
then and not by the first job. Everything else stands in the modules beside
this one.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, ClassVar, Final, final

import trio

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.commands import CommandGroup
from tapekit.hookspecs.lifecycle import InitPart, Manifest
from tapekit_state_sqlite.commands import command_app
from tapekit_state_sqlite.settings import StateSqliteSettings
from tapekit_state_sqlite.store import SqliteStateStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from tapekit.hookspecs.lifecycle import InitSite, Kernel
    from tapekit.hookspecs.state import StateStore

__all__ = ["StateSqlitePlugin"]


@final
class StateSqlitePlugin:
    """What is remembered over restarts, in one SQLite file."""

    manifest: ClassVar[Manifest] = Manifest(
        name="state_sqlite",
        summary="What is remembered over restarts, in one SQLite file",
        settings=StateSqliteSettings,
    )

    def __init__(self, settings: StateSqliteSettings) -> None:
        self._store: Final = SqliteStateStore(settings)

    @classmethod
    def init_part(cls, site: InitSite) -> InitPart:
        """Name the file; it is made when the stack starts."""
        del site
        return InitPart(settings=f'path = "{StateSqliteSettings().path}"\n')

    @hookimpl
    def tapekit_provide_state_store(self) -> StateStore:
        """Offer the store."""
        return self._store

    @hookimpl
    def tapekit_register_command_groups(self) -> Sequence[CommandGroup]:
        """Offer ``tapekit state``."""
        return (
            CommandGroup("state", "What is remembered over restarts", command_app(self._store)),
        )

    @hookimpl
    def tapekit_on_assembled(self, kernel: Kernel) -> None:
        """Learn where the stack file is."""
        self._store.settle(kernel.base_directory)

    @hookimpl
    def tapekit_run(self) -> AbstractAsyncContextManager[None]:
        """Keep the file open while the stack runs."""
        return self._open_while_running()

    @contextlib.asynccontextmanager
    async def _open_while_running(self) -> AsyncIterator[None]:
        await trio.to_thread.run_sync(self._store.verify)
        try:
            yield
        finally:
            self._store.close()
