"""A backup of a volume as an image, from its Snapshot copies to the end of
its stream.

The copies are chosen, and one is made where the backup needs it, in the run,
since that may take long; all are held until the end. The one rule: a copy
that was made for a backup which failed is deleted, whatever else was asked.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import uuid
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit.errors import TapekitError
from tapekit.hookspecs.data_engine import JobProgress, LogLevel
from tapekit.hookspecs.events import Event
from tapekit.hookspecs.volume_images import VolumeType
from tapekit.segments import ConnectionBroken
from tapekit_smtape.backup_image import ImageSource, write_image
from tapekit_smtape.backup_selection import hold_copies, is_temporary
from tapekit_smtape.errors import CATALOGUE
from tapekit_smtape.variables import ENGINE, without_effect

if TYPE_CHECKING:
    from pathlib import Path

    from tapekit.hookspecs.data_engine import JobServices, Pairs
    from tapekit.hookspecs.environment import Environment
    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.movements import Stay
    from tapekit.hookspecs.volume_images import ImageStorage
    from tapekit.segments import DataSink
    from tapekit_smtape.backup_selection import HeldCopies, Wish

__all__ = ["BackupAsked", "SmtapeBackup"]

_LOG: Final = logging.getLogger("tapekit.smtape")

_ADDED: Final = frozenset(
    {"DUMP_DATE", "NDMP_VERSION", "PATHNAME_SEPARATOR", "SMTAPE_BACKUP_SET_ID"}
)
_NANOSECONDS: Final = 1_000_000_000


class BackupAsked(NamedTuple):
    """What a client asks for."""

    environment: Environment
    wish: Wish
    holder: str


@final
class SmtapeBackup:
    """A backup that has been checked and can run once."""

    def __init__(
        self,
        asked: BackupAsked,
        storage: ImageStorage,
        kernel: Kernel,
        spool: Path | None,
        stay: Stay,
    ) -> None:
        self._asked: Final = asked
        self._stay: Final = stay
        self._storage: Final = storage
        self._kernel: Final = kernel
        self._spool: Final = spool
        self._held: HeldCopies | None = None
        self._source: ImageSource | None = None

    @property
    def progress(self) -> JobProgress:
        """Bytes that have left; how many will come is not known before the
        end, since copies are compared as they are sent.
        """
        source = self._source
        return JobProgress(0 if source is None else source.position, None, None)

    def run(self, sink: DataSink, services: JobServices) -> None:
        """Write the whole stream and finish the sink.

        :raises ConnectionBroken: the stream's other end broke off.
        :raises TapekitError: the backup failed; the stream is incomplete.
        """
        self._begin(services)
        try:
            with contextlib.closing(self), self._stay.at_work(services.break_off):
                self._work(sink, services)
        except ConnectionBroken as broken:
            if self._kernel.draining.is_set():
                raise self._failed(CATALOGUE.error("job-aborted-shutdown")) from broken
            self._fail("the data connection broke off")
            raise
        except TapekitError as error:
            self._fail(str(error))
            raise
        except MemoryError as error:
            raise self._failed(CATALOGUE.error("failed-to-allocate-memory")) from error
        except Exception as error:
            _LOG.exception("the backup of %s failed", self._asked.wish.volume)
            defect = CATALOGUE.error("internal-assertion", defect=repr(error))
            raise self._failed(defect) from error
        self._announce("backup-finished", bytes=self.progress.bytes_processed)

    def environment(self) -> Pairs:
        """The request's variables and what a restore or the next backup
        needs (NDMP v4, DATA_GET_ENV).
        """
        asked = self._asked
        kept = [pair for pair in asked.environment.pairs if pair[0] not in _ADDED]
        if not asked.environment.is_set("TYPE"):
            kept.append(("TYPE", ENGINE))
        kept += [("NDMP_VERSION", "4"), ("PATHNAME_SEPARATOR", "/")]
        kept.append(("SMTAPE_BACKUP_SET_ID", str(uuid.UUID(bytes=asked.wish.set_id))))
        if self._source is not None:
            kept.append(("DUMP_DATE", self._source.newest.identifier))
        return kept

    def close(self) -> None:
        """Let go of the Snapshot copies; later calls do nothing.

        :raises TapekitError: the copy of a failed backup cannot be deleted.
        """
        held, self._held = self._held, None
        try:
            if held is not None:
                self._drop(held)
        finally:
            self._stay.leave()

    def _drop(self, held: HeldCopies) -> None:
        held.close()
        if held.own is not None:
            self._storage.delete_snapshot(self._asked.wish.volume, held.own, self._asked.holder)

    def _begin(self, services: JobServices) -> None:
        """Tell what is asked for, and what of it has no effect."""
        environment = self._asked.environment
        kind = "baseline" if self._asked.wish.base is None else "incremental"
        self._announce("backup-started", kind=kind)
        options = ", ".join(f"{name}={value}" for name, value in environment.pairs)
        self._announce("backup-options", options=options)
        for name in without_effect(environment):
            services.log(LogLevel.WARNING, f"{name} has no effect on an SMTape backup")

    def _work(self, sink: DataSink, services: JobServices) -> None:
        """Back up, and let go of the volume, whose storage may move then."""
        with contextlib.ExitStack() as undo:
            undo.callback(self._give_up, services)
            try:
                self._send(sink, services)
                self._stay.completes()
            except ConnectionBroken as broken:
                aborted = self._stay.aborted
                if aborted is None:
                    raise
                raise aborted.error from broken
            except (OSError, sqlite3.Error) as error:
                raise self._unreadable(error) from error
            undo.pop_all()
        self._let_go(services)

    def _give_up(self, services: JobServices) -> None:
        try:
            self.close()
        except TapekitError as error:
            # Why the backup failed matters more.
            services.log(LogLevel.WARNING, error.advice)

    def _send(self, sink: DataSink, services: JobServices) -> None:
        asked = self._asked

        def keep_going() -> None:
            # A connection that broke off has no buffers any more.
            sink.recycle(sink.acquire())

        held = self._held = hold_copies(self._storage, asked.wish, asked.holder, keep_going)
        source = self._source = ImageSource(
            volume=asked.wish.volume,
            set_id=asked.wish.set_id,
            stamp_ns=int(self._kernel.clock() * _NANOSECONDS),
            held=held,
        )
        if asked.environment.switch("DEBUG"):
            services.log(LogLevel.DEBUG, source.description)
        newest = source.newest
        self._announce("snapshot-located", snapshot=newest.name, taken_at_s=newest.created_at_s)
        facts = self._storage.volume_facts(asked.wish.volume)
        if is_temporary(newest.name) and facts.type is VolumeType.DP:
            services.log(
                LogLevel.WARNING,
                f"{newest.name} is a temporary Snapshot copy of a SnapMirror relationship, which "
                "its next update deletes; back another one up if increments are to follow",
            )
        if held.base is not None:
            base = held.base.copy
            self._announce("base-located", snapshot=base.name, taken_at_s=base.created_at_s)
        for name in write_image(source, sink, self._spool, keep_going):
            self._announce("copy-sent", snapshot=name)
            if asked.environment.switch("VERBOSE"):
                services.log(LogLevel.NORMAL, f"Backed up Snapshot copy {name}")
            if asked.environment.switch("DEBUG"):
                services.log(LogLevel.DEBUG, f"{name} ends at byte {source.position} of the image")

    def _let_go(self, services: JobServices) -> None:
        """Let go of the copies, and delete the one that nobody wants to keep."""
        held, self._held = self._held, None
        assert held is not None
        held.close()
        asked = self._asked
        if held.own is None or not asked.environment.switch("SMTAPE_DELETE_SNAPSHOT"):
            return
        try:
            self._storage.delete_snapshot(asked.wish.volume, held.own, asked.holder)
        except TapekitError as error:
            # The image is whole, and must not be thrown away for that.
            told = CATALOGUE.error(
                "failed-to-delete-snapshot",
                path=asked.wish.volume,
                snapshot=held.own,
                reason=error.advice,
            )
            services.log(LogLevel.ERROR, told.advice)

    def _unreadable(self, error: OSError | sqlite3.Error) -> TapekitError:
        """Why a copy, or what is known of it, cannot be read: it may have
        been taken away.
        """
        held, volume = self._held, self._asked.wish.volume
        there = {copy.identifier for copy in self._storage.snapshot_copies(volume)}
        read = () if held is None else [each.copy for each in held.copies]
        lost = [copy.name for copy in read if copy.identifier not in there]
        if lost:
            return CATALOGUE.error("job-aborted-snapshot-autodelete", lost=", ".join(lost))
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        return CATALOGUE.error("backup-failed", path=volume, reason=reason)

    def _failed(self, error: TapekitError) -> TapekitError:
        self._fail(str(error))
        return error

    def _fail(self, reason: str) -> None:
        self._announce("backup-failed", reason=reason, bytes=self.progress.bytes_processed)

    def _announce(self, name: str, /, **facts: str | int) -> None:
        asked = self._asked
        self._kernel.announce(
            Event(
                name=f"smtape.{name}",
                facts={"path": asked.wish.volume, "holder": asked.holder, **facts},
                time_s=self._kernel.clock(),
            )
        )
