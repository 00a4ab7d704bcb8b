"""Data engines: from a tree to a stream and back.

An engine checks an operation before any data moves and then runs it in one
blocking call in a worker thread. It talks to the client only through the
:class:`JobServices` that it is given.
"""

from __future__ import annotations

import enum
import struct
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias, final, overload

from tapekit.errors import TapekitError
from tapekit.hookspecs._markers import hookspec

if TYPE_CHECKING:
    from tapekit.segments import DataSink, DataSource

__all__ = [
    "LONGEST_PATH",
    "UNKNOWN_POSITION",
    "Ability",
    "BackupJob",
    "DataEngine",
    "DirectoryEntry",
    "FileEntry",
    "FileHistory",
    "FileResult",
    "Job",
    "JobProgress",
    "JobServices",
    "LogLevel",
    "NodeEntry",
    "NodeTable",
    "Pairs",
    "PathNotPermitted",
    "PathPermit",
    "RangeSource",
    "RecoverJob",
    "Selection",
    "permit_every_path",
    "tapekit_register_data_engines",
]

Pairs: TypeAlias = "Sequence[tuple[str, str]]"
"""Environment variables in order; a name may come twice. Bytes that are not
UTF-8 travel as surrogate escapes."""

UNKNOWN_POSITION: Final = 2**64 - 1

LONGEST_PATH: Final = 8192
"""Bytes of a path in file history and in restore lists, at most."""

PathPermit: TypeAlias = Callable[[str], None]
"""Raises :class:`PathNotPermitted` for a path, ``/vserver/volume[/path]``,
that who asks for an operation may not read or write. Callable from any
thread."""


class PathNotPermitted(TapekitError):
    """Who asks for an operation may not use a path that it needs."""


def permit_every_path(path: str) -> None:
    """The permit of an operation that nobody limits."""
    del path


class Ability(enum.Flag):
    """What an engine can do (NDMP v4, CONFIG_GET_BUTYPE_INFO attributes)."""

    BACKUP_FILELIST = 0x0002
    RECOVER_FILELIST = 0x0004
    BACKUP_DIRECT = 0x0008
    RECOVER_DIRECT = 0x0010
    BACKUP_INCREMENTAL = 0x0020
    RECOVER_INCREMENTAL = 0x0040
    BACKUP_UTF8 = 0x0080
    RECOVER_UTF8 = 0x0100
    BACKUP_FH_FILE = 0x0200
    BACKUP_FH_DIR = 0x0400
    RECOVER_FILEHIST = 0x0800
    RECOVER_FH_FILE = 0x1000
    RECOVER_FH_DIR = 0x2000


class LogLevel(enum.Enum):
    """How a message for the client is meant (NDMP v4, LOG_MESSAGE types)."""

    NORMAL = 0
    DEBUG = 1
    ERROR = 2
    WARNING = 3


class FileResult(enum.Enum):
    """What became of an entry of the restore list (NDMP v4, LOG_FILE)."""

    SUCCESSFUL = 0
    FAILED_PERMISSION = 1
    NOT_FOUND = 2
    NO_DIRECTORY = 3
    OUT_OF_MEMORY = 4
    IO_ERROR = 5
    UNDEFINED_ERROR = 6
    FILE_PATH_EXISTS = 7


DirectoryEntry: TypeAlias = tuple[bytes, int, int]
"""``(name, node, parent node)``"""


class NodeEntry(NamedTuple):
    """One object of the file history: its attributes and its place."""

    node: int
    mode: int
    """Type and permission bits as in ``st_mode``."""
    size: int
    mtime_s: int
    atime_s: int
    ctime_s: int
    uid: int
    gid: int
    links: int
    position: int
    """Byte offset of the object's header in the stream."""


FileEntry: TypeAlias = tuple[bytes, NodeEntry]
"""``(path, attributes)``; paths begin with ``/``, which alone is the root of
the backup. None is longer than :data:`LONGEST_PATH`."""

_ROW: Final = struct.Struct(f"={len(NodeEntry._fields)}q")


@final
class NodeTable(Sequence[NodeEntry]):
    """Node entries without an object for each, for engines with many files.

    :param numbers: the fields of one entry after those of the other, as
        signed numbers of 64 bits.
    """

    WIDTH: Final = len(NodeEntry._fields)

    def __init__(self, numbers: array[int]) -> None:
        self.numbers: Final = numbers

    @classmethod
    def of(cls, entries: Iterable[NodeEntry]) -> NodeTable:
        """The same entries as a table.

        :raises OverflowError: a number has more than 63 bits.
        """
        return cls(array("q", chain.from_iterable(entries)))

    def column(self, field: int) -> memoryview:
        """One field of all entries, by its index in :class:`NodeEntry`."""
        return memoryview(self.numbers)[field :: self.WIDTH]

    def __len__(self) -> int:
        return len(self.numbers) // self.WIDTH

    def __iter__(self) -> Iterator[NodeEntry]:
        return map(NodeEntry._make, _ROW.iter_unpack(self.numbers))

    @overload
    def __getitem__(self, index: int) -> NodeEntry: ...
    @overload
    def __getitem__(self, index: slice) -> NodeTable: ...
    def __getitem__(self, index: int | slice) -> NodeEntry | NodeTable:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                return NodeTable.of(self[at] for at in range(start, stop, step))
            return NodeTable(self.numbers[start * self.WIDTH : stop * self.WIDTH])
        at = range(len(self))[index] * self.WIDTH
        return NodeEntry._make(self.numbers[at : at + self.WIDTH])


class FileHistory(Protocol):
    """Takes file history in batches of up to about 1,000 entries.

    Calls come from the engine's thread and may block it while the client
    is slow. There are two forms, and :attr:`wants_paths` tells which one the
    client gets. An object's directory entry comes before its node entry.
    """

    @property
    def wants_paths(self) -> bool:
        """Whether all goes to :meth:`add_files`, and else nothing; only
        engines with ``Ability.BACKUP_FH_FILE`` are asked for that.
        """
        ...

    def add_directories(self, entries: Sequence[DirectoryEntry]) -> None:
        """Names with the node that each stands for and the one it is in."""
        ...

    def add_nodes(self, entries: Sequence[NodeEntry]) -> None:
        """Attributes of objects; a :class:`NodeTable` costs least."""
        ...

    def add_files(self, entries: Sequence[FileEntry]) -> None:
        """Objects by their paths; one with several names comes with each."""
        ...

    def await_sent(self) -> None:
        """Wait until all that was added is on its way to the client, so that
        it gets there even if this process ends now.
        """
        ...


class JobServices(Protocol):
    """What a running job may tell the client; callable from its thread."""

    @property
    def history(self) -> FileHistory | None:
        """Where file history goes, or ``None`` if nobody wants it."""
        ...

    def log(self, level: LogLevel, text: str) -> None:
        """Send a message for the operator."""
        ...

    def file_result(self, path: str, result: FileResult) -> None:
        """Tell what became of an entry of the restore list."""
        ...

    def break_off(self) -> None:
        """Break the connection of the job's stream, and wake whoever blocks on
        it: what is read or written from now on raises ConnectionBroken.
        Callable from any thread, also after the job's end.
        """
        ...


class JobProgress(NamedTuple):
    """How far a job is; bytes of the stream."""

    bytes_processed: int
    bytes_remaining: int | None
    seconds_remaining: int | None


class Job(Protocol):
    """An operation that has been checked and can run once."""

    @property
    def progress(self) -> JobProgress:
        """How far it is; callable from any thread."""
        ...

    def close(self) -> None:
        """Free what the job holds (trees, Snapshot copies, spools), whether
        or not it ran; blocking. The job's thread has ended before.
        """
        ...


class BackupJob(Job, Protocol):
    """A backup."""

    def run(self, sink: DataSink, services: JobServices) -> None:
        """Write the whole stream and finish the sink.

        :raises ConnectionBroken: the stream's other end broke off.
        :raises TapekitError: the backup failed; the stream is incomplete.
        """
        ...

    def environment(self) -> Pairs:
        """The request's variables and what the engine adds (DATA_GET_ENV);
        additions are complete once :meth:`run` has returned.
        """
        ...


class RangeSource(Protocol):
    """A stream of which a restore asks for ranges."""

    def request(self, offset: int, length: int) -> DataSource:
        """Ask for bytes of the stream. The source given back ends after
        them, or earlier where the stream does; an earlier range has been
        read to its end before. ``length`` may be ``UNLIMITED``.

        :raises ConnectionBroken: the connection is gone.
        """
        ...


class RecoverJob(Job, Protocol):
    """A restore."""

    def run(self, stream: RangeSource, services: JobServices) -> None:
        """Restore what was selected.

        A stream that ends early, or is damaged, restores all that is in it
        and then raises.

        :raises ConnectionBroken: the stream's other end broke off.
        :raises TapekitError: not everything could be restored.
        """
        ...


class Selection(NamedTuple):
    """One entry of the restore list (NDMP v4, the nlist of
    DATA_START_RECOVER), as the client sent it.
    """

    original_path: str
    """Below the backup's root; empty for all of it."""
    destination_path: str
    """``/vserver/volume[/path]``: what the entry becomes, or the directory that
    it goes into if :attr:`name` says as what; empty where the variables say so."""
    name: str
    """The entry's new name, or empty."""
    other_name: str
    """A second name, such as a short one of 8.3 characters; mostly empty."""
    node: int
    """From the file history; 0 or :data:`UNKNOWN_POSITION` if it is unknown."""
    position: int
    """From the file history, as :attr:`NodeEntry.position`; 0 or
    :data:`UNKNOWN_POSITION` if it is unknown."""


class DataEngine(Protocol):
    """One butype. Both calls check everything that can be checked without
    the stream, may block, and leave nothing behind when they raise. They ask
    ``permit`` for each path of the storage that the job reads or writes, as
    it is going to be opened, whatever words of the request it is made of;
    then they enter the job with its volumes (``tapekit.hookspecs.movements``),
    which may be about to move. A run lets go of them before it ends.
    """

    @property
    def name(self) -> str:
        """The butype name, such as ``dump``."""
        ...

    @property
    def abilities(self) -> Ability:
        """What it can do."""
        ...

    def prepare_backup(
        self, environment: Pairs, holder: str, permit: PathPermit = permit_every_path
    ) -> BackupJob:
        """Check and set up a backup.

        :param holder: who runs it, for listings and locks.
        :param permit: says which paths it may read.
        :raises BadEnvironment: a variable's value is not allowed.
        :raises PathNotPermitted: it would read where it may not.
        :raises TapekitError: anything else that forbids it.
        """
        ...

    def prepare_recover(
        self,
        environment: Pairs,
        selections: Sequence[Selection],
        holder: str,
        permit: PathPermit = permit_every_path,
    ) -> RecoverJob:
        """Check and set up a restore; no selection means everything.

        :param permit: says which paths it may write.
        :raises BadEnvironment: a variable's value is not allowed.
        :raises PathNotPermitted: it would write where it may not.
        :raises TapekitError: anything else that forbids it.
        """
        ...


@hookspec
def tapekit_register_data_engines() -> Sequence[DataEngine]:
    """Offer data engines.

    Called once. All results are joined; a butype offered twice stops the
    start with ``core.duplicate-name``.
    """
    ...
