"""One backup from its first directory to the end of its stream.

The phases follow each other in one worker thread: I and II walk the tree,
III writes the directories, IV everything else; there is no V, since ACLs
stand with their files. The one rule: whatever ends a run, the tree, the
spools and the descriptors under way are given back.
"""

from __future__ import annotations

import contextlib
import enum
import os
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit.errors import TapekitError
from tapekit.hookspecs.data_engine import JobProgress
from tapekit.hookspecs.events import Event
from tapekit.segments import ConnectionBroken
from tapekit.streams import StreamWriter
from tapekit_dump.backup_attributes import AttributeReader
from tapekit_dump.backup_directories import write_directories
from tapekit_dump.backup_files import FileWriter
from tapekit_dump.backup_history import HistoryBatches, NodeHistory
from tapekit_dump.backup_maps import write_maps
from tapekit_dump.backup_offsets import OffsetCollector
from tapekit_dump.backup_paths import PathHistory
from tapekit_dump.backup_report import BackupReport
from tapekit_dump.backup_scope import WHOLE, limits_of
from tapekit_dump.backup_stream import STATUS_CTIME, CtimeOf, ObjectStream
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.header_packing import HeaderPacker
from tapekit_dump.headers import RECORD_BYTES, DumpLabel
from tapekit_dump.increment_base import IncrementBase, find_base, numbered
from tapekit_dump.maps import ROOT
from tapekit_dump.numbering import FullNumbering
from tapekit_dump.restart_run import Written
from tapekit_dump.tree_scope import origin_of, scope_of, uses_ctime
from tapekit_dump.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.hookspecs.data_engine import FileHistory, JobServices, Pairs
    from tapekit.hookspecs.environment import Environment
    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.movements import Stay
    from tapekit.hookspecs.storage import BackupTree, KeepGoing
    from tapekit.segments import DataSink
    from tapekit_dump.backup_scope import Scope
    from tapekit_dump.chain import ChainStep
    from tapekit_dump.dates import DumpDates
    from tapekit_dump.restart_run import RestartRun
    from tapekit_dump.small_files import SmallFileLoops
    from tapekit_dump.spool import Pending, SpoolRoom
    from tapekit_dump.walk import Numbering, TreeIndex

__all__ = ["BackupAsked", "BackupRequest", "DumpBackup"]


class BackupAsked(NamedTuple):
    """What a client asks for, as far as it is known before the run."""

    environment: Environment
    path: str
    """``/vserver/volume[/path]`` without slashes at the end."""
    holder: str
    step: ChainStep
    scope: Scope = WHOLE
    restart: RestartRun | None = None
    """What makes it restartable, or goes on with it, if that is asked for."""


class BackupRequest(NamedTuple):
    """A backup whose tree is open."""

    tree: BackupTree
    path: str
    """What its dates are kept under: the volume's path and the one below it,
    and the name of a backup of several subtrees."""
    date: int
    room: SpoolRoom
    extent_bytes: int
    read_ahead_threads: int
    loops: SmallFileLoops | None
    """What reads small files, if not the engine itself."""
    records_per_block: int
    offset_map: bool
    """Whether a backup with file history gets an offset map."""
    with_labels: bool = True
    """Whether objects may have security labels."""


class _Phase(enum.Enum):
    """The phases of a dump, as its events tell them; the first two are one
    walk over the tree.
    """

    I = "mapping files"  # noqa: E741 - the documents' name of it
    II = "mapping directories"
    III = "writing directories"
    IV = "writing files"
    V = "ending the stream, ACLs having been written with their files"


_ADDED: Final = frozenset(
    {"ACL_START", "DUMP_DATE", "NDMP_VERSION", "OFFSET_MAP_START", "PATHNAME_SEPARATOR"}
)


@final
class DumpBackup:
    """A backup that has been checked and can run once.

    Its tree is opened in the run, since making a Snapshot copy may take long.
    """

    def __init__(
        self,
        asked: BackupAsked,
        open_request: Callable[[KeepGoing], BackupRequest],
        kernel: Kernel,
        dates: DumpDates,
        stay: Stay,
    ) -> None:
        self._asked: Final = asked
        self._stay: Final = stay
        self._open: Final = open_request
        self._opened: BackupRequest | None = None
        self._kernel: Final = kernel
        self._dates: Final = dates
        self._level = asked.step.level
        self._stream: ObjectStream | None = None
        self._end: int | None = None
        self._map_at: int | None = None
        self._closed = False

    @property
    def _request(self) -> BackupRequest:
        assert self._opened is not None, "the run opens the tree first"
        return self._opened

    @property
    def progress(self) -> JobProgress:
        """Bytes that have left; how many will come is not known before the
        end, since nothing but the directories has been read.
        """
        stream = self._stream
        return JobProgress(stream.processed if stream else 0, None, None)

    def run(self, sink: DataSink, services: JobServices) -> None:
        """Write the whole stream and finish the sink.

        :raises ConnectionBroken: the stream's other end broke off.
        :raises TapekitError: the backup failed; the stream is incomplete.
        """
        environment = self._asked.environment
        report = BackupReport(
            services, verbose=environment.switch("VERBOSE"), debug=environment.switch("DEBUG")
        )
        self._announce("backup-started")
        options = ", ".join(f"{name}={value}" for name, value in environment.pairs)
        self._announce("backup-options", options=options)
        try:
            self._stayed(sink, report, services)
        except OSError as error:
            reason = error.strerror or str(error)
            failed = CATALOGUE.error("backup-failed", path=self._asked.path, reason=reason)
            self._fail(str(failed))
            raise failed from error
        except TapekitError as error:
            self._fail(str(error))
            raise
        except ConnectionBroken:
            self._fail("the data connection broke off")
            raise

    def _stayed(self, sink: DataSink, report: BackupReport, services: JobServices) -> None:
        try:
            with self._stay.at_work(services.break_off):
                self._work(sink, report, services.history)
        finally:
            # A job that was aborted before its work has not.
            self._let_go(report)

    def _work(self, sink: DataSink, report: BackupReport, wanted: FileHistory | None) -> None:
        """Back up, and let go of the volume, whose storage may move then."""
        try:
            # Nothing is sent yet, and an abort must not wait until it is.
            self._opened = self._open(lambda: sink.recycle(sink.acquire()))
            self._tell_snapshot(self._opened.tree)
            self._write(sink, report, wanted)
        except ConnectionBroken as broken:
            aborted = self._stay.aborted
            if aborted is None:
                raise
            raise aborted.error from broken
        finally:
            self._let_go(report)

    def _let_go(self, report: BackupReport) -> None:
        try:
            self.close()
        except TapekitError as error:
            # What became of the backup matters more.
            report.warn(error)

    def environment(self) -> Pairs:
        """The request's variables and what a restore or the next backup
        needs (NDMP v4, DATA_GET_ENV).
        """
        asked, opened = self._asked, self._opened
        kept = [pair for pair in asked.environment.pairs if pair[0] not in _ADDED]
        names = {name for name, _ in kept}
        kept += [("TYPE", "dump")] if "TYPE" not in names else []
        kept += [("LEVEL", str(asked.step.level))] if "LEVEL" not in names else []
        kept += [("NDMP_VERSION", "4"), ("PATHNAME_SEPARATOR", "/")]
        token = None if opened is None else asked.step.dump_date(opened.date)
        if token is not None:
            kept.append(("DUMP_DATE", str(token)))
        if opened is not None and opened.tree.traits.only is not None and "PREFIX" not in names:
            # A file comes back into a directory, not below its own path.
            kept.append(("PREFIX", asked.path.rpartition("/")[0]))
        if self._end is not None:
            kept.append(("ACL_START", str(self._end)))
        if self._map_at is not None:
            kept.append(("OFFSET_MAP_START", str(self._map_at)))
        if asked.restart is not None:
            kept += asked.restart.pairs()
        return kept

    def close(self) -> None:
        """Let go of the tree; later calls do nothing."""
        if not self._closed:
            self._closed = True
            restart, aborted = self._asked.restart, self._stay.aborted
            with contextlib.ExitStack() as undo:
                undo.callback(self._stay.leave)
                if restart is not None:
                    # Its copy can go once nobody reads it.
                    undo.callback(restart.close)
                    if aborted is not None and not aborted.may_restart:
                        undo.callback(restart.give_up)
                if self._opened is not None:
                    undo.callback(self._opened.tree.close)

    def _write(self, sink: DataSink, report: BackupReport, wanted: FileHistory | None) -> None:
        request = self._request
        with contextlib.ExitStack() as undo:
            restart = self._asked.restart
            if restart is not None:
                sink = restart.counting(sink, report)
                warning = restart.check(request.tree, wanted)
                if warning is not None:
                    report.warn(warning)
            base = self._base(report)
            if base is None:
                self._level = 0
            else:
                undo.callback(base.close)
                dump = base.dump
                self._announce("base-located", base_level=dump.level, base_date_s=dump.date)
            packer = HeaderPacker(self._label(base))
            with_acls = not self._asked.environment.switch("NO_ACLS")
            attributes = AttributeReader(
                report, with_acls=with_acls, with_labels=request.with_labels
            )
            self._enter(_Phase.I, report)
            self._enter(_Phase.II, report)
            history = self._history(wanted, report)
            if history is not None:
                undo.callback(history.close)
            visiting = history.directories.visited if isinstance(history, PathHistory) else None
            numbering = self._numbering(base, report)
            walk = self._walk(sink, packer, attributes, report, numbering, visiting)
            index = undo.enter_context(contextlib.closing(walk.run()))
            writer = StreamWriter(sink, 0 if restart is None else restart.start)
            undo.callback(writer.abandon)
            self._stream = stream = ObjectStream(writer, packer, history)
            self._write_stream(stream, index, attributes, report, base)
            writer.finish()
            self._stay.completes()
            self._remember(index, stream)
            if restart is not None:
                restart.finished()
            self._finished(index, report)

    def _base(self, report: BackupReport) -> IncrementBase | None:
        """What the backup builds on, if it is not a full one."""
        request, restart = self._request, self._asked.restart
        if restart is not None and restart.resumption is not None:
            return restart.base(request.path, self._dates, request.room, request.tree.traits)
        return find_base(
            self._asked.step,
            request.path,
            self._dates,
            request.room,
            report,
            traits=request.tree.traits,
        )

    def _walk(
        self,
        sink: DataSink,
        packer: HeaderPacker,
        attributes: AttributeReader,
        report: BackupReport,
        numbering: Numbering,
        visiting: Callable[[Pending], object] | None,
    ) -> Walk:
        """Phases I and II."""
        tree, asked = self._request.tree, self._asked
        return Walk(
            tree.descriptor,
            room=self._request.room,
            packer=packer,
            attributes=attributes,
            ctime_of=self._ctime_of(),
            report=report,
            numbering=numbering,
            scope=scope_of(asked.scope, asked.environment, tree, asked.step.level, report),
            origin=origin_of(tree.traits),
            # Nothing is sent yet, and an abort must not wait until it is.
            keep_going=lambda: sink.recycle(sink.acquire()),
            visiting=visiting,
        )

    def _history(self, wanted: FileHistory | None, report: BackupReport) -> HistoryBatches | None:
        """What gathers file history, in the form that is wanted."""
        if wanted is None:
            return None
        history: HistoryBatches
        if wanted.wants_paths:
            history = PathHistory(wanted, self._request.room, report)
        else:
            history = NodeHistory(wanted, ROOT)
        if self._request.offset_map:
            history.offsets = OffsetCollector(self._request.room)
        return history

    def _numbering(self, base: IncrementBase | None, report: BackupReport) -> Numbering:
        request, environment = self._request, self._asked.environment
        if base is None:
            return FullNumbering(request.room, report)
        ignore_ctime = not uses_ctime(environment, request.tree, report)
        limits = limits_of(environment, self._asked.step.level)
        return base.numbering(request.tree, report, ignore_ctime=ignore_ctime, limits=limits)

    def _remember(self, index: TreeIndex, stream: ObjectStream) -> None:
        """Keep what later backups build on."""
        request, step = self._request, self._asked.step
        if step.is_remembered:
            done = numbered(
                index,
                request.tree,
                stream.lost_numbers,
                date=request.date,
                level=self._level,
                limits=limits_of(self._asked.environment, step.level),
            )
            step.remember(request.path, done.dump, done.pages, self._dates)

    def _write_stream(
        self,
        stream: ObjectStream,
        index: TreeIndex,
        attributes: AttributeReader,
        report: BackupReport,
        base: IncrementBase | None,
    ) -> None:
        """Phases III and IV, with the maps before and the end after them."""
        restart = self._asked.restart
        self._write_beginning(stream, index, report)
        self._enter(_Phase.IV, report)
        if restart is not None and restart.resumption is None:
            restart.begin(stream, index, self._written(base))
        files = FileWriter(
            self._request.tree.descriptor,
            stream=stream,
            attributes=attributes,
            ctime_of=self._ctime_of(),
            report=report,
            extent_bytes=self._request.extent_bytes,
            read_ahead_threads=self._request.read_ahead_threads,
            loops=self._request.loops,
            junctions=self._request.tree.traits.junctions,
            places=None if restart is None else restart.places(stream),
        )
        files.run(index.plan if restart is None else restart.rest(index.plan))
        if stream.history is not None:
            stream.history.finish(index.records)
        self._enter(_Phase.V, report)
        self._write_end(stream)

    def _write_beginning(
        self, stream: ObjectStream, index: TreeIndex, report: BackupReport
    ) -> None:
        """The maps and phase III, unless an earlier run has written them."""
        restart = self._asked.restart
        if restart is not None and restart.resumption is not None:
            restart.resume(stream, index, report)
            return
        write_maps(stream, index)
        self._enter(_Phase.III, report)
        write_directories(index.records, stream.writer, stream.history)
        stream.mark()

    def _written(self, base: IncrementBase | None) -> Written:
        """What a restart has to know of the stream."""
        request = self._request
        return Written(
            path=self._asked.path,
            tree=request.tree,
            date=request.date,
            level=self._level,
            base=None if base is None else base.dump,
            records_per_block=request.records_per_block,
            extent_bytes=request.extent_bytes,
            has_offset_map=request.offset_map,
        )

    def _write_end(self, stream: ObjectStream) -> None:
        """TS_END up to a whole block, at least one; behind it the offset map."""
        self._end = stream.writer.position
        block = RECORD_BYTES * self._request.records_per_block
        stream.bare(stream.packer.end)
        while stream.writer.position % block:
            stream.bare(stream.packer.end)
        offsets = None if stream.history is None else stream.history.offsets
        if offsets is not None:
            self._map_at = stream.writer.position
            offsets.write(stream.writer, self._request.date)
            stream.writer.write(bytes(-stream.writer.position % block))
        stream.mark()

    def _label(self, base: IncrementBase | None) -> DumpLabel:
        request = self._request
        source = request.tree.snapshot_name or request.tree.volume_path
        return DumpLabel(
            date=request.date,
            base_date=0 if base is None else base.dump.date,
            level=self._level,
            filesystem=os.fsencode(self._asked.path),
            device_name=os.fsencode(source),
            host=os.fsencode(self._kernel.node_name),
            records_per_block=request.records_per_block,
        )

    def _ctime_of(self) -> CtimeOf:
        """What tells the change time in the volume, which a Snapshot copy
        may have lost.
        """
        tree = self._request.tree
        if tree.snapshot_name is None:
            return STATUS_CTIME
        return lambda status: tree.origin(status).ctime_ns // 1_000_000_000

    def _enter(self, phase: _Phase, report: BackupReport) -> None:
        report.tell(f"Phase {phase.name}: {phase.value}")
        self._announce("phase-started", phase=phase.name, what=phase.value)

    def _finished(self, index: TreeIndex, report: BackupReport) -> None:
        count = index.objects
        size = self.progress.bytes_processed
        lost = f", {report.losses} could not be backed up as they are" if report.losses else ""
        report.say(f"Backup of {self._asked.path}: {count} objects, {size} bytes{lost}")
        self._announce("backup-finished", bytes=size, objects=count, losses=report.losses)

    def _tell_snapshot(self, tree: BackupTree) -> None:
        if tree.snapshot_name is not None:
            self._announce(
                "snapshot-located", snapshot=tree.snapshot_name, taken_at_s=tree.taken_at_s
            )

    def _fail(self, reason: str) -> None:
        self._announce("backup-failed", reason=reason, bytes=self.progress.bytes_processed)

    def _announce(self, name: str, /, **facts: str | int) -> None:
        asked = self._asked
        common: dict[str, str | int] = {
            "path": asked.path,
            "holder": asked.holder,
            "level": self._level,
        }
        event = Event(name=f"dump.{name}", facts={**common, **facts}, time_s=self._kernel.clock())
        self._kernel.announce(event)
