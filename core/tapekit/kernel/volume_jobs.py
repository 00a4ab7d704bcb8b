"""The jobs of a stack's volumes, and the doors that are shut to them.

All of it is in memory: jobs do not outlive the process, and whoever shuts a
door that has to stay shut remembers that itself. The one rule: judging a job
and letting it in, or looking at all jobs and shutting a door, is one step
under one lock.
"""

from __future__ import annotations

import contextlib
import threading  # noqa: TID251 - threads of jobs and of movements meet here
from typing import TYPE_CHECKING, Final, final

import msgspec

from tapekit.hookspecs.movements import JobsInTheWay, VolumeJob, nobody

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from tapekit.errors import TapekitError
    from tapekit.hookspecs.movements import Abort, JobKind, Refusal

__all__ = ["JobRegistry"]


@final
class JobRegistry:
    """Implements ``tapekit.hookspecs.movements.VolumeJobs``."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """:param clock: tells the time in seconds since 1970."""
        self._clock: Final = clock
        self._changed: Final = threading.Condition()
        self._last_number = 0
        self._stays: Final[dict[int, _Stay]] = {}
        self._doors: Final[dict[_Door, Refusal]] = {}

    def enter(self, *, volumes: Sequence[str], engine: str, kind: JobKind, holder: str) -> _Stay:
        """Let a job in.

        :raises TapekitError: a door is shut to it.
        """
        with self._changed:
            self._last_number += 1
            job = VolumeJob(
                number=self._last_number,
                volumes=tuple(dict.fromkeys(volumes)),
                engine=engine,
                kind=kind,
                holder=holder,
                began_s=self._clock(),
            )
            self._judge(job)
            stay = self._stays[job.number] = _Stay(self, job)
            return stay

    def running(self, volume: str | None = None) -> Sequence[VolumeJob]:
        """The jobs of a volume now, or of all, in the order they came."""
        with self._changed:
            jobs = [stay.job for stay in self._stays.values()]
        return [job for job in jobs if volume is None or volume in job.volumes]

    def shut(self, refusal: Refusal, in_the_way: Callable[[VolumeJob], bool] = nobody) -> _Door:
        """Keep out the jobs that ``refusal`` has an error for.

        :raises JobsInTheWay: jobs run that ``in_the_way`` names.
        """
        with self._changed:
            found = [stay.job for stay in self._stays.values() if in_the_way(stay.job)]
            if found:
                raise JobsInTheWay(found)
            door = _Door(self)
            self._doors[door] = refusal
            return door

    def abort(self, how: Callable[[VolumeJob], Abort | None]) -> Sequence[VolumeJob]:
        """Abort the jobs for which ``how`` has a way."""
        aborted: list[_Stay] = []
        with self._changed:
            for stay in self._stays.values():
                way = how(stay.job)
                if way is not None:
                    if not stay.job.is_complete:
                        stay.aborted = stay.aborted or way
                    aborted.append(stay)
        with contextlib.ExitStack() as breaking:
            # One that cannot be broken off keeps no other from it.
            for stay in reversed(aborted):
                breaking.callback(stay.break_off)
        return [stay.job for stay in aborted]

    def await_left(self, jobs: Collection[VolumeJob], limit_s: float) -> Sequence[VolumeJob]:
        """Wait until jobs have left, or the time is over; blocking."""
        numbers = {job.number for job in jobs}
        with self._changed:
            self._changed.wait_for(lambda: self._stays.keys().isdisjoint(numbers), limit_s)
            return [stay.job for number, stay in self._stays.items() if number in numbers]

    def become(self, stay: _Stay, kind: JobKind) -> None:
        """Judge a job again, of which more is known.

        :raises TapekitError: it was aborted, or a door is shut to its kind.
        """
        with self._changed:
            if stay.aborted is not None:
                raise stay.aborted.error
            job = msgspec.structs.replace(stay.job, kind=kind, was_let_in=True)
            self._judge(job)
            stay.job = job

    def complete(self, stay: _Stay) -> None:
        """A job's stream is complete, and is not broken off any more.

        :raises TapekitError: it was aborted before.
        """
        with self._changed:
            if stay.aborted is not None:
                raise stay.aborted.error
            stay.job = msgspec.structs.replace(stay.job, is_complete=True)
            stay.break_off = _nothing

    def take_out(self, number: int) -> None:
        """A job has left."""
        with self._changed:
            self._stays.pop(number, None)
            self._changed.notify_all()

    def set_open(self, door: _Door) -> None:
        """A door is open."""
        with self._changed:
            self._doors.pop(door, None)

    def begin(self, stay: _Stay, break_off: Callable[[], None]) -> None:
        """A job begins to move data, unless it has been aborted.

        :raises TapekitError: it has.
        """
        with self._changed:
            if stay.aborted is not None:
                raise stay.aborted.error
            stay.break_off = break_off

    def _judge(self, job: VolumeJob) -> None:
        for refusal in self._doors.values():
            error: TapekitError | None = refusal(job)
            if error is not None:
                raise error


@final
class _Door:
    """Implements ``tapekit.hookspecs.movements.Door``."""

    def __init__(self, registry: JobRegistry) -> None:
        self._registry: Final = registry

    def open(self) -> None:
        self._registry.set_open(self)


@final
class _Stay:
    """Implements ``tapekit.hookspecs.movements.Stay``."""

    def __init__(self, registry: JobRegistry, job: VolumeJob) -> None:
        self._registry: Final = registry
        self.job = job
        self.aborted: Abort | None = None
        self.break_off: Callable[[], None] = _nothing

    @contextlib.contextmanager
    def at_work(self, break_off: Callable[[], None]) -> Iterator[None]:
        try:
            self._registry.begin(self, break_off)
            yield
        finally:
            self.leave()

    def becomes(self, kind: JobKind) -> None:
        self._registry.become(self, kind)

    def completes(self) -> None:
        self._registry.complete(self)

    def leave(self) -> None:
        self._registry.take_out(self.job.number)


def _nothing() -> None:
    """What breaks off a job that moves no data: before, it meets that it was
    aborted when it wants to begin; afterwards there is nothing to stop.
    """
