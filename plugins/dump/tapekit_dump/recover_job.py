"""A restore from a dump stream: what is checked before, and its course.

The stream is read once from its beginning: first the directories, which are
made as soon as they are all known, then the files, then the directories
again to be finished. What cannot be restored is told and counted, and the
rest goes on. The one rule: success is reported only for what is durable.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit.hookspecs.data_engine import FileResult, JobProgress
from tapekit.hookspecs.mover import UNLIMITED
from tapekit.streams import EndOfStream, StreamReader
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.headers import HeaderFlag, HeaderType
from tapekit_dump.reading import RecordReader
from tapekit_dump.recover_attributes import AttributeSetter
from tapekit_dump.recover_catalogue import Catalogue
from tapekit_dump.recover_content import ObjectContent
from tapekit_dump.recover_crew import Crew
from tapekit_dump.recover_destination import Destination
from tapekit_dump.recover_directories import DirectoryMaker, DirectoryReader
from tapekit_dump.recover_files import FileMaker
from tapekit_dump.recover_findings import Findings
from tapekit_dump.recover_losses import Losses
from tapekit_dump.recover_objects import ObjectMaker
from tapekit_dump.recover_places import Places
from tapekit_dump.recover_selection import branches, plan_views
from tapekit_dump.spool import SpoolRoom

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.data_engine import JobServices, RangeSource, Selection
    from tapekit.hookspecs.environment import Environment
    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit_dump.headers import Header
    from tapekit_dump.reading import Damage
    from tapekit_dump.recover_catalogue import Names, Place
    from tapekit_dump.recover_selection import View

__all__ = ["RecoverJob", "RecoverOptions", "prepare"]


_INODE: Final = int(HeaderType.INODE)
_HAS_ATTRIBUTES: Final = int(HeaderFlag.EXTENDED_ATTRIBUTES)


class RecoverOptions(NamedTuple):
    """How restores work, from the engine's settings."""

    room: SpoolRoom = SpoolRoom(None, 8 << 20)
    """Where names go that have no room in memory."""
    names_in_memory: int = 500_000
    open_directories: int = 256
    threads: int = 2
    """Threads that make small files beside the one that reads."""
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
    return RecoverJob(views, destination, options, verbose=is_verbose)


@final
class RecoverJob:
    """A restore that has been checked and can run once."""

    def __init__(
        self,
        views: Sequence[View],
        destination: Destination,
        options: RecoverOptions,
        *,
        verbose: bool,
    ) -> None:
        self._views: Final = views
        self._destination: Final = destination
        self._options: Final = options
        self._verbose: Final = verbose
        self._reader: StreamReader | None = None

    @property
    def progress(self) -> JobProgress:
        """See :attr:`Job.progress`; how much is left, nobody knows."""
        reader = self._reader
        return JobProgress(0 if reader is None else reader.position, None, None)

    def run(self, stream: RangeSource, services: JobServices) -> None:
        """Read the stream once and restore what was selected.

        :raises ConnectionBroken: the stream's other end broke off.
        :raises TapekitError: not everything could be restored.
        """
        findings = Findings(services, self._options.messages)
        is_settled = False
        try:
            self._restore(stream, findings)
            is_settled = True
        finally:
            self._tell_results(services, is_settled=is_settled)
        findings.conclude()

    def close(self) -> None:
        """See :meth:`Job.close`."""
        self._destination.close()

    def _restore(self, stream: RangeSource, findings: Findings) -> None:
        tops = self._destination.tops()
        reader = self._reader = StreamReader(stream.request(0, UNLIMITED))
        catalogue = Catalogue(
            branches(self._views), findings, self._options.room, self._options.names_in_memory
        )
        places = Places(catalogue.directories, tops, self._options.open_directories)
        try:
            course = _Course(reader, catalogue, places, findings, self._options.threads)
            course.run(verbose=self._verbose)
            if self._options.sync_at_end:
                self._destination.flush()
        except OSError as error:
            raise CATALOGUE.error(
                "stream-unreadable", offset=reader.position, reason=error.strerror
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


@final
class _Course:
    """The course of one restore."""

    def __init__(
        self,
        reader: StreamReader,
        catalogue: Catalogue,
        places: Places,
        findings: Findings,
        threads: int,
    ) -> None:
        self._records: Final = RecordReader(reader, self._tell_damage)
        self._catalogue: Final = catalogue
        self._places: Final = places
        self._findings: Final = findings
        self._threads: Final = threads
        self._setter: Final = AttributeSetter(findings.warn)
        self._losses: Final = Losses(catalogue, findings)
        self._at: Sequence[Place] = ()

    def run(self, *, verbose: bool) -> None:
        """Restore everything; what remains undone stands in the findings.

        :raises ConnectionBroken: the stream's other end broke off.
        :raises TapekitError: it cannot go on.
        """
        first = self._records.first()
        old_format = _is_old_format(first)
        directories = DirectoryMaker(
            self._catalogue, self._places, self._setter, self._findings, verbose=verbose
        )
        header = DirectoryReader(
            self._records, self._catalogue, self._findings, old_format=old_format
        ).read(first)
        try:
            directories.make_all()
            count = self._make_objects(header, old_format=old_format)
        finally:
            directories.finish_all()
        self._findings.note(
            f"Restored {count} files and {directories.made} directories"
            f" from {self._records.stream.position} bytes"
        )

    def _make_objects(self, header: Header | None, *, old_format: bool) -> int:
        """Make everything that is no directory; gives how many names."""
        crew = Crew(
            self._places, self._losses, self._findings, self._threads, old_format=old_format
        )
        files = FileMaker(
            self._records.stream, self._places, self._setter, self._losses, old_format=old_format
        )
        objects = ObjectMaker(
            self._records,
            self._places,
            self._setter,
            self._findings,
            self._losses,
            files,
            crew,
            old_format=old_format,
        )
        try:
            self._follow(header, objects)
        finally:
            crew.close()
        return objects.made

    def _follow(self, header: Header | None, objects: ObjectMaker) -> None:
        """Take objects up to the end, or to the last that is wanted."""
        names = self._catalogue.names(self._losses)
        while header is not None and not names.is_exhausted:
            if header.type == _INODE and not header.flags & _HAS_ATTRIBUTES:
                header = self._make_object(header, names, objects)
            elif header.type == HeaderType.END:
                break
            else:
                header = self._pass_over_remains(header)
        if names.is_exhausted:
            return
        names.lose_rest()
        if header is None:
            self._findings.end_early(self._records.stream.position)

    def _make_object(self, header: Header, names: Names, objects: ObjectMaker) -> Header | None:
        if stat.S_ISDIR(header.mode):
            return self._pass_over_directory(header)
        places = names.take(header.inode)
        if places is None:
            self._findings.lose(CATALOGUE.error("object-without-name", inode=header.inode))
        self._at = places or ()
        return objects.make(header, self._at)

    def _pass_over_remains(self, header: Header) -> Header | None:
        """Step over records whose object was lost to damage."""
        try:
            self._records.skip_content(header)
            return self._records.next()
        except EndOfStream:
            return None

    def _pass_over_directory(self, header: Header) -> Header | None:
        self._findings.lose(CATALOGUE.error("directory-too-late", inode=header.inode))
        content = ObjectContent(self._records, header, self._findings)
        content.pass_over()
        return content.following

    def _tell_damage(self, damage: Damage) -> None:
        where = "the directories"
        if self._at:
            where = self._catalogue.path_of(*self._at[0].path)
        self._findings.damage(
            CATALOGUE.error(
                "stream-damaged",
                offset=damage.offset,
                length=damage.length,
                reason=damage.reason,
                where=where,
            )
        )


def _is_old_format(header: Header) -> bool:
    """Whether the dump has users and names in the form before 4.4BSD.

    :raises TapekitError: the dump is one that cannot be restored.
    """
    if header.flags & HeaderFlag.COMPRESSED:
        raise CATALOGUE.error("dump-compressed")
    if header.base_date:
        raise CATALOGUE.error("dump-incremental", level=header.level, base_date=header.base_date)
    is_first = header.type == HeaderType.TAPE
    return is_first and not header.flags & HeaderFlag.NEW_INODE_FORMAT
