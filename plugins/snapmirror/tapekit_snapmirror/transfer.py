"""One transfer: an SMTape image from volume to volume inside the process.

The engine backs the source up at one end of a local data connection and
restores the destination at the other, each in a thread of its own. The one
rule: whoever fails or is cancelled breaks the connection, which is what ends
the other one.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, NamedTuple, final

import trio

from tapekit.hookspecs.data_engine import FileResult, LogLevel
from tapekit.segments import ConnectionBroken
from tapekit_snapmirror.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.hookspecs.data_engine import BackupJob, DataEngine, Pairs, RecoverJob
    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.transport import DataConnection
    from tapekit.segments import DataSource

__all__ = ["ENGINE", "ImageWish", "Transfer", "prepare_transfer"]

ENGINE: Final = "smtape"
"""Who transfers."""
_LOCAL: Final = "LOCAL"
_LOG: Final = logging.getLogger("tapekit.snapmirror")
_LEVELS: Final = {
    LogLevel.NORMAL: logging.INFO,
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.ERROR: logging.ERROR,
    LogLevel.WARNING: logging.WARNING,
}


class ImageWish(NamedTuple):
    """Which image is sent."""

    source: str
    destination: str
    newest: str
    """Name of the copy that ends it."""
    base: str | None
    """Identifier of the copy that it follows; none for a baseline."""
    set_id: str
    """Of the relationship; increments need one."""
    holder: str


class Transfer(NamedTuple):
    """A transfer that has been checked; it runs once."""

    backup: BackupJob
    recover: RecoverJob
    ends: tuple[DataConnection, DataConnection]

    @property
    def bytes(self) -> int:
        """What has been read of the source, as bytes of the stream."""
        return self.backup.progress.bytes_processed

    def close(self) -> None:
        """Free everything; blocking."""
        with ExitStack() as undo:
            undo.callback(self.backup.close)
            undo.callback(self.recover.close)
            for end in self.ends:
                undo.callback(end.close)

    async def run(self) -> None:
        """Send the image.

        :raises ConnectionBroken: the connection broke, and nothing else tells why.
        :raises TapekitError: the destination has not all of it.
        :raises Exception: a defect of the engine.
        """
        reader, writer = self.ends
        failures: list[Exception] = []
        services = _Services(self.ends)

        def read() -> None:
            self.backup.run(reader.sink(), services)

        def write() -> None:
            self.recover.run(_WholeStream(writer.source()), services)

        async with trio.open_nursery() as watching:
            watching.start_soon(self._break_off_when_cancelled)
            async with trio.open_nursery() as working:
                for work, end in ((read, reader), (write, writer)):
                    run = _guarded(work, end, failures)
                    working.start_soon(trio.to_thread.run_sync, run)
            watching.cancel_scope.cancel()
        # Whoever fails breaks the connection, which is what the other one meets.
        for failure in sorted(failures, key=lambda one: isinstance(one, ConnectionBroken)):
            raise failure

    async def _break_off_when_cancelled(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            for end in self.ends:
                end.abort()


def prepare_transfer(kernel: Kernel, wish: ImageWish) -> Transfer:
    """Check a transfer and take the destination; blocking.

    :raises TapekitError: the stack lacks what it needs, or a volume forbids it.
    """
    engine, transport = kernel.engines.get(ENGINE), kernel.data_transports.get(_LOCAL)
    if engine is None or transport is None:
        raise CATALOGUE.error("transfer-not-possible", engine=ENGINE, kind=_LOCAL)
    with ExitStack() as undo:
        backup = _backup(engine, wish)
        undo.callback(backup.close)
        recover = engine.prepare_recover((("FILESYSTEM", wish.destination),), (), wish.holder)
        undo.callback(recover.close)
        ends = transport.pair()
        undo.pop_all()
    return Transfer(backup, recover, ends)


def _backup(engine: DataEngine, wish: ImageWish) -> BackupJob:
    pairs: Pairs = (("FILESYSTEM", wish.source), ("SMTAPE_SNAPSHOT_NAME", wish.newest))
    if wish.base is not None:
        pairs = (*pairs, ("BASE_DATE", wish.base), ("SMTAPE_BACKUP_SET_ID", wish.set_id))
    return engine.prepare_backup(pairs, wish.holder)


def _guarded(
    work: Callable[[], None], end: DataConnection, failures: list[Exception]
) -> Callable[[], None]:
    """Work that keeps what it fails with, and breaks its end of the connection."""

    def run() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever it is, the other thread waits
            failures.append(error)
            end.abort()

    return run


@final
class _WholeStream:
    """Implements ``tapekit.hookspecs.data_engine.RangeSource`` for a stream
    that comes by itself.
    """

    def __init__(self, source: DataSource) -> None:
        self._source: Final = source

    def request(self, offset: int, length: int) -> DataSource:
        """All of it, which is what an image is read as."""
        del length
        assert offset == 0, "an image is read from its beginning"
        return self._source


@final
class _Services:
    """What the two jobs tell goes to the log."""

    history: Final = None

    def __init__(self, ends: tuple[DataConnection, DataConnection]) -> None:
        self._ends: Final = ends

    def log(self, level: LogLevel, text: str) -> None:
        """See :meth:`JobServices.log`."""
        _LOG.log(_LEVELS[level], "%s", text)

    def file_result(self, path: str, result: FileResult) -> None:
        """See :meth:`JobServices.file_result`."""
        if result is not FileResult.SUCCESSFUL:
            _LOG.warning("%s: %s", path, result.name)

    def break_off(self) -> None:
        """See :meth:`JobServices.break_off`."""
        for end in self._ends:
            end.abort()
