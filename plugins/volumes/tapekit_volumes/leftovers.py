"""Removes the Snapshot copies that a crash has left.

A record whose lock nobody has tells of a holder that is gone; the copy that
was made for it goes as well. Much may be left, so the start waits for it a
little and then goes on beside it. The one rule: nothing that somebody holds
is touched, be it by another process.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

import trio

from tapekit.errors import TapekitError
from tapekit.hookspecs.events import Event
from tapekit_volumes.errors import CATALOGUE
from tapekit_volumes.file_lock import FileLock, lock_path
from tapekit_volumes.lock_records import LockRecord, LockRecords

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tapekit.hookspecs.lifecycle import Kernel

__all__ = ["LeftoverRemover", "removing_leftovers"]

_LOG: Final = logging.getLogger("tapekit.volumes")

_PATIENCE_S: Final = 10.0
"""Long enough for some 100,000 files."""


@contextlib.asynccontextmanager
async def removing_leftovers(kernel: Kernel) -> AsyncIterator[None]:
    """A context that is entered once all leftovers are gone, or after some
    seconds while the rest is still being removed.
    """
    done = trio.Event()

    async def remove() -> None:
        # What an abandoned thread does not finish, the next start does.
        await trio.to_thread.run_sync(LeftoverRemover(kernel).remove_all, abandon_on_cancel=True)
        done.set()

    kernel.start_task(remove, "volumes: removing leftovers")
    with trio.move_on_after(_PATIENCE_S):
        await done.wait()
    yield


@final
class LeftoverRemover:
    """Goes through the records of holders once."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel: Final = kernel
        self._records: Final = LockRecords(kernel.state)

    def remove_all(self) -> None:
        """Remove what nobody holds; what cannot be removed is logged and
        keeps its record.
        """
        for key, record in self._records.every().items():
            try:
                self._remove(key, record)
            except TapekitError as error:
                _LOG.warning("%s", error.advice)

    def _remove(self, key: str, record: LockRecord) -> None:
        if record.lasting:
            return
        folder = Path(record.folder)
        if not folder.is_dir():
            raise CATALOGUE.error(
                "leftover-out-of-reach",
                volume=record.volume,
                name=record.snapshot,
                folder=record.folder,
            )
        try:
            lock_path(folder, record.snapshot).parent.mkdir(mode=0o700, exist_ok=True)
            lock = FileLock.attempt(lock_path(folder, record.snapshot))
        except OSError as error:
            raise CATALOGUE.error(
                "snapshot-folder-not-usable",
                volume=record.volume,
                folder=record.folder,
                reason=error.strerror,
            ) from error
        if lock is None:
            return
        try:
            if record.temporary and not self._records.lasting(record.volume, record.snapshot):
                self._remove_copy(record, folder)
            self._records.remove(key)
        finally:
            lock.release()

    def _remove_copy(self, record: LockRecord, folder: Path) -> None:
        method = self._kernel.snapshot_methods.get(record.method)
        if method is None:
            raise CATALOGUE.error(
                "leftover-without-method",
                volume=record.volume,
                name=record.snapshot,
                folder=record.folder,
                method=record.method,
            )
        method.delete(folder, record.snapshot)
        self._records.forget_copy(record.volume, record.snapshot)
        _LOG.info(
            "%s: removed Snapshot copy %s, which %s had left",
            record.volume,
            record.snapshot,
            record.holder,
        )
        self._kernel.announce(
            Event(
                name="volumes.leftover-removed",
                facts={
                    "volume": record.volume,
                    "snapshot": record.snapshot,
                    "holder": record.holder,
                },
                time_s=self._kernel.clock(),
            )
        )
