"""A restore from a dump stream: what is checked before, and what it holds.

Preparing finds out where everything goes and that it can be written there;
running reads the stream once, from its beginning, and tells every entry of
the restore list what became of it. The one rule: success is reported only
for what is complete and on disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit.hookspecs.data_engine import FileResult, JobProgress
from tapekit.hookspecs.events import Event
from tapekit.hookspecs.mover import UNLIMITED
from tapekit.streams import StreamReader
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.recover_catalogue import Catalogue
from tapekit_dump.recover_course import Course
from tapekit_dump.recover_crew import Hands
from tapekit_dump.recover_destination import Destination
from tapekit_dump.recover_findings import Findings
from tapekit_dump.recover_places import Places
from tapekit_dump.recover_selection import branches, join_path, plan_views
from tapekit_dump.spool import SpoolRoom

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.data_engine import JobServices, RangeSource, Selection
    from tapekit.hookspecs.environment import Environment
    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit_dump.recover_selection import View
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


def prepare(
    environment: Environment,
    selections: Sequence[Selection],
    holder: str,
    kernel: Kernel,
    options: RecoverOptions = DEFAULTS,
) -> RecoverJob:
    """Check a restore and set it up.

    :param selections: what to restore and where to; everything if empty.
    :param holder: who runs it, for listings and events.
    :raises BadEnvironment: a variable's value is not allowed.
    :raises TapekitError: no storage, no destination, or a destination whose
        volume cannot be written.
    """
    if kernel.storage is None:
        raise CATALOGUE.error("no-storage")
    is_verbose = environment.switch("VERBOSE")
    views = plan_views(selections, environment.text("PREFIX"), environment.text("FILESYSTEM"))
    destination = Destination(kernel.storage, holder, views)
    try:
        destination.hold_volumes()
    except BaseException:
        destination.close()
        raise
    return RecoverJob(views, destination, kernel, holder, options, verbose=is_verbose)


@final
class RecoverJob:
    """A restore that has been checked and can run once."""

    def __init__(
        self,
        views: Sequence[View],
        destination: Destination,
        kernel: Kernel,
        holder: str,
        options: RecoverOptions,
        *,
        verbose: bool,
    ) -> None:
        self._views: Final = views
        self._destination: Final = destination
        self._kernel: Final = kernel
        self._holder: Final = holder
        self._options: Final = options
        self._verbose: Final = verbose
        self._reader: StreamReader | None = None

    @property
    def progress(self) -> JobProgress:
        """Bytes that have been read; how many will come nobody knows."""
        reader = self._reader
        return JobProgress(0 if reader is None else reader.position, None, None)

    def run(self, stream: RangeSource, services: JobServices) -> None:
        """Read the stream once and restore what was selected.

        :raises ConnectionBroken: the stream's other end broke off.
        :raises TapekitError: not everything could be restored.
        """
        findings = Findings(services, self._options.messages)
        is_settled = False
        self._announce("restore-started")
        try:
            self._restore(stream, findings)
            is_settled = True
        finally:
            self._tell_results(services, is_settled=is_settled)
            self._announce(
                "restore-finished" if is_settled else "restore-aborted",
                bytes=self.progress.bytes_processed,
                objects=findings.restored,
                losses=findings.losses,
            )
        findings.conclude()

    def close(self) -> None:
        """Let go of the destination; later calls do nothing."""
        self._destination.close()

    def _restore(self, stream: RangeSource, findings: Findings) -> None:
        options = self._options
        tops = self._destination.tops()
        reader = self._reader = StreamReader(stream.request(0, UNLIMITED))
        catalogue = Catalogue(
            branches(self._views), findings, options.room, options.names_in_memory
        )
        places = Places(catalogue.directories, tops, options.open_directories)
        hands = Hands(options.threads, options.loops)
        course = Course(
            reader, catalogue, places, findings, hands, self._enter, verbose=self._verbose
        )
        try:
            course.run()
            if options.sync_at_end:
                self._destination.flush()
        except OSError as error:
            raise CATALOGUE.error(
                "stream-unreadable", offset=reader.position, reason=error.strerror or str(error)
            ) from error
        finally:
            places.close()
            catalogue.close()
            reader.close()

    def _tell_results(self, services: JobServices, *, is_settled: bool) -> None:
        for view in self._views:
            if not is_settled:
                view.fail(FileResult.IO_ERROR)
            if view.label is not None:
                services.file_result(view.label, view.result)

    def _enter(self, phase: str) -> None:
        self._announce("restore-phase-started", phase=phase)

    def _announce(self, name: str, /, **facts: str | int) -> None:
        path = join_path(self._views[0].target)
        event = Event(
            name=f"dump.{name}",
            facts={"path": path, "holder": self._holder, **facts},
            time_s=self._kernel.clock(),
        )
        self._kernel.announce(event)
