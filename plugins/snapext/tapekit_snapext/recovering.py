"""Recovery from a Snapshot copy to a local place.

What is recovered is backed up and restored at once: the dump engine reads the
Snapshot copy at one end of a local data connection and writes the destination
at the other, so that a recovery brings back all that a restore does. The one
rule: whole volumes and regular files, nothing else.
"""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Final, NamedTuple, final

import trio

from tapekit.errors import TapekitError
from tapekit.hookspecs.data_engine import FileResult, LogLevel, Selection
from tapekit.hookspecs.movements import JobKind, volume_of
from tapekit.segments import ConnectionBroken
from tapekit_ndmp_v4.ranges import AskedRanges
from tapekit_snapext.browsing import snapshot_path
from tapekit_snapext.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.hookspecs.data_engine import (
        BackupJob,
        Pairs,
        PathPermit,
        RecoverJob,
    )
    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.transport import DataConnection
    from tapekit_ndmp_v4.link import SessionLink

__all__ = ["ENGINE", "Recovery", "prepare_recovery"]

ENGINE: Final = "dump"
"""Who recovers."""
_LOCAL: Final = "LOCAL"


class Recovery(NamedTuple):
    """A recovery that has been checked; it runs once."""

    source: str
    backup: BackupJob
    recover: RecoverJob
    ends: tuple[DataConnection, DataConnection]

    def close(self) -> None:
        """Free everything; blocking."""
        with ExitStack() as undo:
            undo.callback(self.backup.close)
            undo.callback(self.recover.close)
            for end in self.ends:
                undo.callback(end.close)

    async def run(self, link: SessionLink) -> None:
        """Recover, in threads of the session.

        :raises ConnectionBroken: the session ended meanwhile.
        :raises TapekitError: not everything could be recovered.
        """
        services = _Services(link, self.ends)
        reader, writer = self.ends
        failures: list[Exception] = []

        def read() -> None:
            self.backup.run(reader.sink(), services)

        def write() -> None:
            self.recover.run(AskedRanges(writer.source(), _ask_nobody, 1), services)

        async with trio.open_nursery() as watching:
            watching.start_soon(self._break_off_when_cancelled)
            async with trio.open_nursery() as working:
                working.start_soon(link.in_thread, _guarded(read, reader, failures))
                working.start_soon(link.in_thread, _guarded(write, writer, failures))
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


def prepare_recovery(
    kernel: Kernel, source: str, destination: str, holder: str, permit: PathPermit
) -> Recovery:
    """Check a recovery; blocking.

    :param source: a Snapshot copy of a volume, or a regular file in one.
    :param destination: a directory for a volume, the file's new path for a file.
    :raises PathNotPermitted: the user may not use one of the paths.
    :raises TapekitError: no such source, or it is neither volume nor file.
    """
    engine, transport = kernel.engines.get(ENGINE), kernel.data_transports.get(_LOCAL)
    if engine is None or transport is None:
        raise CATALOGUE.error("recovery-not-possible")
    place = snapshot_path(source)
    if place.snapshot is None:
        raise CATALOGUE.error("not-a-snapshot-path", path=source)
    top = f"{place.volume}/.snapshot/{place.snapshot}"
    permit(top)
    pairs, selection = _volume(top, destination)
    if place.below:
        pairs, selection = _file(kernel, top, place.below, destination, holder)
    with ExitStack() as undo:
        backup = engine.prepare_backup(pairs, holder, permit)
        undo.callback(backup.close)
        recover = engine.prepare_recover((*pairs, ("EXTRACT", "E")), (selection,), holder, permit)
        undo.callback(recover.close)
        ends = transport.pair()
        undo.pop_all()
    return Recovery(source, backup, recover, ends)


def _volume(top: str, destination: str) -> tuple[Pairs, Selection]:
    pairs = (("FILESYSTEM", top), ("LEVEL", "0"), ("UPDATE", "N"))
    return pairs, Selection("", destination, "", "", 0, 0)


def _file(
    kernel: Kernel, top: str, below: str, destination: str, holder: str
) -> tuple[Pairs, Selection]:
    """What backs up one regular file, and restores it under its new path.

    :raises TapekitError: there is no such file, or it is none.
    """
    folder, _, name = below.rpartition("/")
    root = f"{top}/{folder}".rstrip("/")
    into, _, new_name = destination.rstrip("/").rpartition("/")
    if not stat.S_ISREG(_mode(kernel, root, name, holder)) or "\n" in below:
        raise CATALOGUE.error("not-a-volume-or-file", path=f"{root}/{name}")
    pairs = (
        ("FILESYSTEM", root),
        ("LEVEL", "0"),
        ("UPDATE", "N"),
        ("DMP_NAME", "NDMP_SNAP_RECOVER"),
        ("MULTI_SUBTREE_NAMES", f"{name}\n{root}"),
    )
    return pairs, Selection(name, into, new_name, "", 0, 0)


def _mode(kernel: Kernel, root: str, name: str, holder: str) -> int:
    """The type and permissions of what has a name in a directory.

    :raises TapekitError: there is nothing, or the storage moves.
    """
    storage = kernel.storage
    assert storage is not None, "the engine opens paths of it"
    stay = kernel.volume_jobs.enter(
        volumes=(volume_of(root),), engine=ENGINE, kind=JobKind.BACKUP, holder=holder
    )
    try:
        with closing(storage.open_backup(root, holder)) as tree:
            return os.stat(name, dir_fd=tree.descriptor, follow_symlinks=False).st_mode
    except OSError as error:
        raise CATALOGUE.error(
            "no-such-source", path=f"{root}/{name}", reason=error.strerror or error
        ) from error
    finally:
        stay.leave()


def _ask_nobody(offset: int, length: int) -> None:
    """The whole stream comes by itself."""


def _guarded(
    work: Callable[[], None], end: DataConnection, failures: list[Exception]
) -> Callable[[], None]:
    """Work that keeps what it fails with, and breaks its end of the connection."""

    def run() -> None:
        try:
            work()
        except (TapekitError, ConnectionBroken, OSError) as error:
            failures.append(error)
            end.abort()

    return run


@final
class _Services:
    """What the two jobs may tell the client: messages alone."""

    history: Final = None

    def __init__(self, link: SessionLink, ends: tuple[DataConnection, DataConnection]) -> None:
        self._link: Final = link
        self._ends: Final = ends

    def log(self, level: LogLevel, text: str) -> None:
        """See :meth:`JobServices.log`."""
        self._link.post_from_thread(self._link.log_message(level, text))

    def file_result(self, path: str, result: FileResult) -> None:
        """See :meth:`JobServices.file_result`."""
        if result is not FileResult.SUCCESSFUL:
            self.log(LogLevel.WARNING, f"{path}: {result.name}")

    def break_off(self) -> None:
        """See :meth:`JobServices.break_off`."""
        for end in self._ends:
            end.abort()
