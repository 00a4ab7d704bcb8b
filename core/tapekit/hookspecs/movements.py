"""Movements of storage, and the jobs of volumes that they meet.

An engine enters each job, with the volumes that it reads or writes, before
it opens any of them. Whatever moves storage (a failover, a relocation, a
volume move, a rehost) sees who is there, keeps others out, waits, or aborts
with a reason that the client gets to read. The one rule: nobody looks at the
jobs first and keeps others out afterwards; :meth:`VolumeJobs.shut` does both
at one moment.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, runtime_checkable

import msgspec

from tapekit.hookspecs.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from contextlib import AbstractContextManager

    from tapekit.errors import TapekitError

__all__ = [
    "Abort",
    "Aggregate",
    "AggregateStorage",
    "Door",
    "HaPolicy",
    "JobKind",
    "JobsInTheWay",
    "Refusal",
    "Stay",
    "VolumeJob",
    "VolumeJobs",
    "nobody",
    "volume_of",
]


class JobKind(enum.Enum):
    """What a job does to its volumes."""

    BACKUP = "backup"
    RESTORE = "restore"
    """Of files into a volume."""
    IMAGE_RESTORE = "image restore"
    """Of a whole volume, before its image has said which of the two it is."""
    BASELINE_RESTORE = "baseline restore"
    """Of a whole volume, which is emptied before."""
    INCREMENTAL_RESTORE = "incremental restore"
    """Of a whole volume, on top of what it holds."""


class VolumeJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job of an engine, as movements see it."""

    number: int
    """No two jobs of a stack have the same one while it runs."""
    volumes: tuple[str, ...]
    """What it reads or writes, each as ``/vserver/volume``."""
    engine: str
    """The butype, such as ``dump``."""
    kind: JobKind
    holder: str
    """Who runs it, such as ``session 7``."""
    began_s: float
    """When it was let in, in seconds since 1970."""
    was_let_in: bool = False
    """Whether it runs already, and is judged again since its kind is known now."""
    is_complete: bool = False
    """Whether all is done but to let go of the volumes."""

    def __str__(self) -> str:
        return f"{self.holder}, {self.engine} {self.kind.value} of {', '.join(self.volumes)}"


Refusal: TypeAlias = "Callable[[VolumeJob], TapekitError | None]"
"""Judges a job that wants in, and one whose kind has become known: the error
that it fails with, or ``None`` to let it be. It is called from the job's
thread, may ask the state store, and must not ask the jobs themselves."""


def nobody(job: VolumeJob) -> bool:
    """Says of every job that it is not in the way."""
    del job
    return False


class Abort(NamedTuple):
    """How a job is aborted."""

    error: TapekitError
    """What it fails with, and its client is told."""
    may_restart: bool = True
    """Whether a backup that is restartable can be restarted afterwards."""


class JobsInTheWay(Exception):
    """A movement did not begin, because of jobs that it would have to abort.

    Whoever asked puts it into words of its own.
    """

    def __init__(self, jobs: Sequence[VolumeJob]) -> None:
        super().__init__("; ".join(map(str, jobs)))
        self.jobs = tuple(jobs)


class Stay(Protocol):
    """One job's stay with its volumes, for the engine; callable from any thread."""

    @property
    def job(self) -> VolumeJob:
        """The job as it is known now."""
        ...

    @property
    def aborted(self) -> Abort | None:
        """How it was aborted, if it was. What is then raised by the broken
        connection gives way to :attr:`Abort.error`.
        """
        ...

    def at_work(self, break_off: Callable[[], None]) -> AbstractContextManager[None]:
        """The context in which the job runs, and lets go of its volumes; its end
        is that of the stay.

        :param break_off: ends the job's stream; see ``JobServices.break_off``.
        :raises TapekitError: on entry, if it has been aborted before.
        """
        ...

    def becomes(self, kind: JobKind) -> None:
        """Tell of what kind the job has turned out to be, before it changes
        anything.

        :raises TapekitError: a job of this kind must not go on.
        """
        ...

    def completes(self) -> None:
        """The job's stream is complete, and an abort would come too late: from
        now on it is waited for alone. A backup says so before it remembers
        anything of itself.

        :raises TapekitError: it has been aborted before.
        """
        ...

    def leave(self) -> None:
        """The job is over, whether or not it ran, and holds no volume open;
        later calls do nothing.
        """
        ...


class Door(Protocol):
    """Keeps jobs out until it is opened."""

    def open(self) -> None:
        """Let jobs in again; later calls do nothing."""
        ...


class VolumeJobs(Protocol):
    """The jobs of a stack's volumes; callable from any thread."""

    def enter(self, *, volumes: Sequence[str], engine: str, kind: JobKind, holder: str) -> Stay:
        """Let a job in, which is about to open volumes.

        :raises TapekitError: a door is shut to it.
        """
        ...

    def running(self, volume: str | None = None) -> Sequence[VolumeJob]:
        """The jobs of a volume now, or of all, in the order they came."""
        ...

    def shut(self, refusal: Refusal, in_the_way: Callable[[VolumeJob], bool] = nobody) -> Door:
        """Keep out the jobs that ``refusal`` has an error for, from now on.

        :param in_the_way: says of each job that runs now whether the door
            stays open because of it.
        :raises JobsInTheWay: with all those; nobody is kept out.
        """
        ...

    def abort(self, how: Callable[[VolumeJob], Abort | None]) -> Sequence[VolumeJob]:
        """Abort the jobs for which ``how`` has a way, and do not wait for
        their ends. One that was aborted before keeps its first reason, and
        one that is complete is let be.

        :returns: all those that are to end now, in the order they came.
        """
        ...

    def await_left(self, jobs: Collection[VolumeJob], limit_s: float) -> Sequence[VolumeJob]:
        """Wait until jobs have left; blocking.

        :returns: those that are still there when the time is over.
        """
        ...


class HaPolicy(enum.Enum):
    """How an aggregate goes to the partner node (``ha_policy``)."""

    CFO = "cfo"
    """With its node, as the one of the root volume does."""
    SFO = "sfo"
    """By itself, before its node goes."""


class Aggregate(msgspec.Struct, frozen=True, kw_only=True):
    """Storage that moves as a whole."""

    name: str
    ha_policy: HaPolicy
    home: str = ""
    """The node to which it belongs; empty for the one whose stack this is."""
    volumes: tuple[str, ...]
    """The volumes that it holds now, each as ``/vserver/volume``."""


@runtime_checkable
class AggregateStorage(Storage, Protocol):
    """A storage whose volumes are in aggregates."""

    def aggregates(self) -> Sequence[Aggregate]:
        """All aggregates, in the order of the stack file."""
        ...


def volume_of(path: str) -> str:
    """The volume of a path ``/vserver/volume[/path]``, which may have slashes
    and dots in between that mean nothing.
    """
    names = [name for name in path.split("/") if name not in {"", "."}]
    return "/" + "/".join(names[:2])
