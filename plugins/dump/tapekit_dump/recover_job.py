"""A restore from a dump stream: what is checked before, and what it holds.

Preparing finds out where everything goes and that it can be written there;
running reads the stream once, from its beginning, and tells every entry of
the restore list what became of it. The one rule: success is reported only
for what is complete and on disk.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, final

from tapekit.errors import TapekitError
from tapekit.hookspecs.data_engine import FileResult, JobProgress, permit_every_path
from tapekit.hookspecs.events import Event
from tapekit.hookspecs.movements import JobKind
from tapekit.hookspecs.mover import UNLIMITED
from tapekit.segments import ConnectionBroken
from tapekit.streams import StreamReader
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.recover_attributes import AttributeSetter
from tapekit_dump.recover_catalogue import Catalogue
from tapekit_dump.recover_course import Course
from tapekit_dump.recover_crew import Hands
from tapekit_dump.recover_destination import Destination
from tapekit_dump.recover_direct import DirectCourse, Means, WholeStreamNeeded
from tapekit_dump.recover_direct_stream import DirectStream
from tapekit_dump.recover_findings import Findings
from tapekit_dump.recover_inspection import Inspection
from tapekit_dump.recover_marks import MarkRules, without_luns
from tapekit_dump.recover_memory import RestoreMemory
from tapekit_dump.recover_places import Places
from tapekit_dump.recover_room import FileRoom, check_inodes, check_space, missing_inodes
from tapekit_dump.recover_selection import branches, join_path, plan_views
from tapekit_dump.recover_succession import Succession
from tapekit_dump.recover_tree import DirectTree
from tapekit_dump.recover_wishes import Manner, check_views, read_wishes, with_full_paths
from tapekit_dump.spool import SpoolRoom
from tapekit_dump.variables import ENGINE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tapekit.hookspecs.data_engine import JobServices, PathPermit, RangeSource, Selection
    from tapekit.hookspecs.environment import Environment
    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.movements import Stay
    from tapekit_dump.recover_selection import Path, View
    from tapekit_dump.recover_wishes import Wishes
    from tapekit_dump.small_files import SmallFileLoops

__all__ = ["DEFAULTS", "RecoverJob", "RecoverOptions", "prepare"]


class RecoverOptions(NamedTuple):
    """How restores work, from the engine's settings."""

    room: SpoolRoom = SpoolRoom(None, 8 << 20)
    """Where names go that have no room in memory."""
    names_in_memory: int = 500_000
    open_directories: int = 256
    threads: int = 1
    """Threads that make small files beside the one that reads."""
    loops: SmallFileLoops | None = None
    """What makes ordinary small files, if not the engine itself."""
    messages: int = 10_000
    """Messages of each kind; more are only counted."""
    sync_at_end: bool = True
    """Whether everything is on disk before success is reported."""


DEFAULTS: Final = RecoverOptions()

_WRITING: Final = frozenset({Manner.RESTORE, Manner.NOWRITE})
"""What needs a destination, if only to see that there is one."""

_Tops: TypeAlias = "Mapping[int, tuple[int, Path]]"
"""See :meth:`Destination.tops`."""


def prepare(
    environment: Environment,
    selections: Sequence[Selection],
    holder: str,
    kernel: Kernel,
    options: RecoverOptions = DEFAULTS,
    permit: PathPermit = permit_every_path,
) -> RecoverJob:
    """Check a restore and set it up.

    :param selections: what to restore and where to; everything if empty.
    :param holder: who runs it, for listings and events.
    :param permit: says which paths may be written.
    :raises BadEnvironment: a variable's value is not allowed.
    :raises PathNotPermitted: a destination may not be written.
    :raises TapekitError: no storage, no destination, or a destination whose
        volume cannot be written.
    """
    if kernel.storage is None:
        raise CATALOGUE.error("no-storage")
    is_verbose = environment.switch("VERBOSE")
    wishes = read_wishes(environment)
    views = plan_views(selections, environment.text("PREFIX"), environment.text("FILESYSTEM"))
    check_views(wishes, views)
    if wishes.full_paths:
        views = with_full_paths(views)
    destination = Destination(kernel.storage, holder, views)
    is_writing = wishes.manner in _WRITING
    if is_writing:
        destination.check_permits(permit)
    stay = kernel.volume_jobs.enter(
        volumes=[join_path(view.volume) for view in views] if is_writing else (),
        engine=ENGINE,
        kind=JobKind.RESTORE,
        holder=holder,
    )
    try:
        if is_writing:
            destination.hold_volumes()
    except BaseException:
        try:
            destination.close()
        finally:
            stay.leave()
        raise
    return RecoverJob(
        views, wishes, destination, kernel, stay, options, environment, verbose=is_verbose
    )


@final
class RecoverJob:
    """A restore that has been checked and can run once."""

    def __init__(
        self,
        views: Sequence[View],
        wishes: Wishes,
        destination: Destination,
        kernel: Kernel,
        stay: Stay,
        options: RecoverOptions,
        environment: Environment,
        *,
        verbose: bool,
    ) -> None:
        self._environment: Final = environment
        self._views: Final = views
        self._wishes: Final = wishes
        self._destination: Final = destination
        self._kernel: Final = kernel
        self._stay: Final = stay
        self._options: Final = options
        self._verbose: Final = verbose
        self._reader: StreamReader | None = None
        self._direct: DirectStream | None = None

    @property
    def progress(self) -> JobProgress:
        """Bytes that have been read; how many will come nobody knows."""
        reader, direct = self._reader, self._direct
        read = 0 if reader is None else reader.position
        return JobProgress(read + (0 if direct is None else direct.bytes_read), None, None)

    def run(self, stream: RangeSource, services: JobServices) -> None:
        """Read the stream once and restore what was selected.

        :raises ConnectionBroken: the stream's other end broke off.
        :raises TapekitError: not everything could be restored.
        """
        debug = self._environment.switch("DEBUG")
        findings = Findings(services, self._options.messages, debug=debug)
        is_settled = False
        self._announce_start()
        try:
            self._stayed(stream, findings, services)
            is_settled = True
        except TapekitError as error:
            self._announce("restore-error", reason=str(error))
            raise
        except ConnectionBroken:
            self._announce("restore-error", reason="the data connection broke off")
            raise
        finally:
            self._tell_results(services, is_settled=is_settled)
            if findings.losses:
                missing = f"{findings.losses} objects are missing or incomplete"
                self._announce("restore-error", reason=missing)
            self._announce(
                "restore-finished" if is_settled else "restore-aborted",
                bytes=self.progress.bytes_processed,
                objects=findings.restored,
                losses=findings.losses,
            )
        findings.conclude()

    def close(self) -> None:
        """Let go of the destination; later calls do nothing."""
        try:
            self._destination.close()
        finally:
            self._stay.leave()

    def _stayed(self, stream: RangeSource, findings: Findings, services: JobServices) -> None:
        try:
            with self._stay.at_work(services.break_off):
                self._work(stream, findings)
        finally:
            # A job that was aborted before its work has not.
            self._let_go(findings)

    def _work(self, stream: RangeSource, findings: Findings) -> None:
        """Restore, and let go of the volumes, whose storage may move then."""
        try:
            self._restore(stream, findings)
        except ConnectionBroken as broken:
            aborted = self._stay.aborted
            if aborted is None:
                raise
            raise aborted.error from broken
        finally:
            self._let_go(findings)

    def _let_go(self, findings: Findings) -> None:
        try:
            self._destination.close()
        except TapekitError as error:
            # What became of the restore matters more.
            findings.note(str(error))

    def _restore(self, stream: RangeSource, findings: Findings) -> None:
        if self._wishes.manner is not Manner.RESTORE:
            self._inspect(stream, findings)
            return
        tops = self._destination.tops()
        for view in self._views:
            findings.debug(
                f"{join_path(view.source)} goes to {join_path(view.target)};"
                f" node {view.node}, position {view.position}"
            )
        if self._knows_positions(findings) and self._restore_directly(stream, tops, findings):
            return
        self._restore_whole(stream, tops, findings)

    def _knows_positions(self, findings: Findings) -> bool:
        """Whether the restore can go straight to everything that is named."""
        wishes, named = self._wishes, [view for view in self._views if not view.only_if_new]
        if not wishes.is_direct:
            return False
        if any(not view.source and view.is_recursive for view in named):
            findings.note("All of the backup is wanted; the stream is read from its beginning")
            return False
        for view in named:
            if not view.position:
                findings.warn(CATALOGUE.error("position-unknown", path=join_path(view.source)))
        return all(view.position for view in named)

    def _restore_directly(self, stream: RangeSource, tops: _Tops, findings: Findings) -> bool:
        """Go to what is wanted; whether all of it could be found so."""
        views = without_luns(self._views, self._destination.volumes(), findings)
        if not views:
            return True
        direct = self._direct = DirectStream(stream)
        tree = DirectTree(views, findings)
        catalogue = self._catalogue(findings, tree.meet)
        places = self._places(catalogue, tops, findings)
        means = Means(
            catalogue,
            tree,
            places,
            self._setter(findings),
            findings,
            self._hands(),
            self._enter,
            lambda: self._warn_of_room(views, tops, catalogue, findings),
            self._verbose,
        )
        try:
            with self._telling_of_stream(lambda: direct.bytes_read):
                DirectCourse(direct, views, self._wishes, means).run()
                findings.debug(f"{direct.bytes_read} bytes were read directly")
                self._flush()
        except WholeStreamNeeded as needed:
            direct.close()
            findings.warn(CATALOGUE.error("offset-map-missing", reason=needed.reason))
            return False
        finally:
            places.close()
            catalogue.close()
            direct.release()
        return True

    def _restore_whole(self, stream: RangeSource, tops: _Tops, findings: Findings) -> None:
        """Read the stream once from its beginning."""
        reader = self._reader = StreamReader(stream.request(0, UNLIMITED))
        catalogue = self._catalogue(findings)
        places = self._places(catalogue, tops, findings)
        succession = self._succession(tops, findings)
        course = Course(
            reader,
            catalogue,
            places,
            findings,
            self._hands(),
            self._enter,
            setter=self._setter(findings),
            check_room=lambda names: self._check_room(tops, names, catalogue),
            verbose=self._verbose,
            succession=succession,
        )
        try:
            with self._telling_of_stream(lambda: reader.position):
                course.run()
                findings.debug(
                    f"{len(catalogue.directories)} directories with {catalogue.names_count} names"
                )
                self._flush()
                if succession is not None:
                    succession.conclude(catalogue)
        finally:
            if succession is not None:
                succession.close()
            places.close()
            catalogue.close()
            reader.close()

    def _succession(self, tops: _Tops, findings: Findings) -> Succession | None:
        """What a restore of a whole dump needs to be followed by the next
        level, or to follow one.
        """
        view = self._views[0]
        if len(self._views) > 1 or view.source or self._wishes.extract != "N":
            return None
        changes = self._destination.volumes()[view.volume].traits.type_changes
        memory = RestoreMemory(self._kernel.state, join_path(view.target), changes)
        return Succession(memory, view, tops, findings)

    def _inspect(self, stream: RangeSource, findings: Findings) -> None:
        """Read the stream and write nothing."""
        reader = self._reader = StreamReader(stream.request(0, UNLIMITED))
        catalogue = self._catalogue(findings)
        try:
            with self._telling_of_stream(lambda: reader.position):
                Inspection(reader, catalogue, findings).run(self._wishes.manner)
        finally:
            catalogue.close()
            reader.close()

    def _catalogue(
        self, findings: Findings, meet: Callable[[int, bytes, int], None] | None = None
    ) -> Catalogue:
        options = self._options
        return Catalogue(
            branches(self._views), findings, options.room, options.names_in_memory, meet
        )

    def _places(self, catalogue: Catalogue, tops: _Tops, findings: Findings) -> Places:
        rules = MarkRules(
            catalogue,
            self._destination.volumes(),
            findings,
            self._kernel.clock,
            with_qtrees=not self._environment.switch("IGNORE_QTREES"),
        )
        room = (
            None
            if self._wishes.is_forced
            else FileRoom(catalogue, findings, self._wishes.stream_bytes)
        )
        limit = self._options.open_directories
        return Places(catalogue.directories, tops, limit, rules, room)

    def _setter(self, findings: Findings) -> AttributeSetter:
        return AttributeSetter(findings.warn, with_acls=self._wishes.with_acls)

    def _hands(self) -> Hands:
        return Hands(self._options.threads, self._options.loops)

    def _check_room(self, tops: _Tops, names: int, catalogue: Catalogue) -> None:
        """Refuse a restore that does not fit, as far as that is known.

        :raises TapekitError: space or inodes are missing.
        """
        if self._wishes.is_forced:
            return
        parts = [view for view in self._views if view.source]
        missing = self._missing_inodes(parts, tops, catalogue)
        if missing is not None:
            raise missing
        for view in self._views:
            if not view.source:
                descriptor, path = tops[view.number][0], join_path(view.target)
                if self._wishes.stream_bytes:
                    check_space(descriptor, path, self._wishes.stream_bytes)
                check_inodes(descriptor, path, names)

    def _missing_inodes(
        self, views: Sequence[View], tops: _Tops, catalogue: Catalogue
    ) -> TapekitError | None:
        return missing_inodes(views, tops, catalogue, branches(self._views))

    def _warn_of_room(
        self, views: Sequence[View], tops: _Tops, catalogue: Catalogue, findings: Findings
    ) -> None:
        """Say so if a direct restore does not fit."""
        missing = self._missing_inodes(views, tops, catalogue)
        if missing is not None and not self._wishes.is_forced:
            findings.warn(missing)

    def _flush(self) -> None:
        if self._options.sync_at_end:
            self._destination.flush()

    @contextlib.contextmanager
    def _telling_of_stream(self, position: Callable[[], int]) -> Iterator[None]:
        """Say of errors of the stream where in it they came."""
        try:
            yield
        except OSError as error:
            raise CATALOGUE.error(
                "stream-unreadable", offset=position(), reason=error.strerror or str(error)
            ) from error

    def _tell_results(self, services: JobServices, *, is_settled: bool) -> None:
        for view in self._views:
            if not is_settled:
                view.fail(FileResult.IO_ERROR)
            if view.label is not None:
                services.file_result(view.label, view.result)

    def _enter(self, phase: str) -> None:
        self._announce("restore-phase-started", phase=phase)

    def _announce_start(self) -> None:
        environment = self._environment
        self._announce("restore-started", level=environment.number("LEVEL") or 0)
        options = ", ".join(f"{name}={value}" for name, value in environment.pairs)
        self._announce("restore-options", options=options)

    def _announce(self, name: str, /, **facts: str | int) -> None:
        path = join_path(self._views[0].target)
        event = Event(
            name=f"dump.{name}",
            facts={"path": path, "holder": self._stay.job.holder, **facts},
            time_s=self._kernel.clock(),
        )
        self._kernel.announce(event)
