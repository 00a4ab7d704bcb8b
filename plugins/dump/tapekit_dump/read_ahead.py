"""Reading small files before their turn, where they come from a disk.

A disk answers several requests in hardly more time than one, but a backup
asks for one file after the other. So once its reads reach the disk, threads
go ahead of it through the plan and bring files into the page cache; once
theirs no longer do, they rest, since with everything in the cache they only
cost time, and where the cache is too small for what they bring they stay
nearer. The one rule: nothing that happens here is told or changes what is
written; the backup itself meets it again.
"""

from __future__ import annotations

import functools
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit_dump.descent import open_below
from tapekit_dump.file_fetching import NOTHING_FETCHED, blocks_read, fetch_files
from tapekit_dump.plan import StepKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from tapekit_dump.file_fetching import Fetched
    from tapekit_dump.plan import Step

    Fetch = Callable[[int, Sequence[bytes]], Fetched]

__all__ = ["Reach", "ReadAhead"]

_FILES_AHEAD: Final = 2048
"""How far the threads go ahead: enough for them while the backup waits for
its client, and little enough to be in the cache still at its turn."""
_FILES_AT_FIRST: Final = 256
_FILES_OF_A_JOB: Final = 32
_DEEPEST: Final = 64
"""Below it the way to a file takes longer than its turn."""
_COLD_FROM: Final = 1.0
"""Blocks of 512 bytes that come from the disk, for each file, from which on
files count as cold: a page for every eighth."""
_COLD_FROM_IN_PYTHON: Final = 4.0
"""The same where the threads hold up the interpreter that the backup needs."""
_LEAST_FILES: Final = 64
"""Fewer tell nothing."""
_LEAST_AHEAD: Final = 32
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class _Sent(NamedTuple):
    """A step, and what reads its files."""

    step: Step
    jobs: Sequence[Future[Fetched]]
    reach: int
    """How far ahead the threads went then."""


@final
class Reach:
    """How many files the threads go ahead: more and more, until what they
    bring is out of the cache again at its turn.
    """

    def __init__(self, files: int = _FILES_AT_FIRST) -> None:
        self.files = files
        """0 if the threads do harm however near they stay."""
        self._may_grow = True

    def judge(self, own: int, ahead: int, length: int) -> None:
        """Take account of files that the threads had read before their turn.

        :param own: blocks that the backup itself has read from disks at
            their turn.
        :param ahead: blocks of their contents that the threads have read.
        :param length: blocks that their contents have.
        """
        read_twice = own + ahead - length
        if not ahead:
            return
        if 4 * read_twice > ahead:
            self._may_grow = False
            self.files //= 2
            if self.files < _LEAST_AHEAD:
                self.files = 0
        elif self._may_grow and 16 * read_twice < ahead:
            self.files = min(self.files * 5 // 4, _FILES_AHEAD)

    def pieces(self, step: Step) -> Iterator[Step]:
        """A step in pieces that are short enough to go no further ahead."""
        at_once = max(self.files // 2, 1)
        if not self.files or len(step.names) <= at_once:
            yield step
            return
        for start in range(0, len(step.names), at_once):
            names = step.names[start : start + at_once]
            yield step._replace(first=step.first + start, names=names)


@final
class ReadAhead:
    """Goes through a plan ahead of who writes it; for one thread, and its own.

    :param root: the tree's open directory, borrowed.
    :param threads: 0 lets it do nothing.
    :param counter: like :func:`blocks_read`.
    :param fetch: does what :func:`fetch_files` does, called in the threads,
        and leaves the interpreter to others meanwhile.
    """

    def __init__(
        self,
        root: int,
        threads: int,
        counter: Callable[[], int] = blocks_read,
        reach: Reach | None = None,
        fetch: Fetch | None = None,
    ) -> None:
        self._reach: Final = reach or Reach()
        self._root: Final = root
        self._threads = threads
        self._counter: Final = counter
        self._fetch: Final = fetch or functools.partial(fetch_files, counter=counter)
        self._cold_from: Final = _COLD_FROM_IN_PYTHON if fetch is None else _COLD_FROM
        self._pool: ThreadPoolExecutor | None = None
        self._jobs: Final[deque[Future[Fetched]]] = deque()
        self._waiting: Final[deque[_Sent]] = deque()
        self._files_waiting = 0
        self._place: Final[list[bytes]] = []
        self._files = 0
        self._blocks = 0
        self._seen = 0
        self.is_reading = False
        """Whether threads are reading."""

    def steps(self, plan: Iterable[Step]) -> Iterator[Step]:
        """The steps of a plan, which is read on while the threads need more;
        long ones in pieces while they do.

        :raises TapekitError: the plan cannot be read.
        """
        coming = (piece for step in plan for piece in self._pieces(step))
        self._seen = self._counter()
        while (sent := self._next(coming)) is not None:
            is_ahead = sent.reach == self._reach.files and _are_done(sent.jobs)
            before = self._counter() if is_ahead else 0
            yield sent.step
            if is_ahead:
                self._judge_reach(sent.jobs, self._counter() - before)
            if self._threads and sent.step.kind is StepKind.REGULAR:
                self._judge(len(sent.step.names))

    def close(self) -> None:
        """Let the threads end."""
        self.is_reading = False
        self._jobs.clear()
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(cancel_futures=True)

    def _pieces(self, step: Step) -> Iterable[Step]:
        if self.is_reading and step.kind is StepKind.REGULAR:
            return self._reach.pieces(step)
        return (step,)

    def _next(self, coming: Iterator[Step]) -> _Sent | None:
        while self.is_reading and self._files_waiting < self._reach.files:
            step = self._pull(coming)
            if step is None:
                break
            self._files_waiting += len(step.names)
            self._waiting.append(_Sent(step, self._send_ahead(step), self._reach.files))
        if not self._waiting:
            step = self._pull(coming)
            return None if step is None else _Sent(step, (), 0)
        sent = self._waiting.popleft()
        self._files_waiting -= len(sent.step.names)
        return sent

    def _pull(self, coming: Iterator[Step]) -> Step | None:
        """The next step of the plan, and the place that it leads to."""
        step = next(coming, None)
        if step is not None and step.kind is StepKind.DIRECTORY:
            del self._place[max(0, step.depth - 1) :]
            if step.depth:
                self._place.append(step.names[0])
        return step

    def _send_ahead(self, step: Step) -> Sequence[Future[Fetched]]:
        jobs: list[Future[Fetched]] = []
        if step.kind is not StepKind.REGULAR or len(self._place) > _DEEPEST:
            return jobs
        assert self._pool is not None
        place = tuple(self._place)
        for start in range(0, len(step.names), _FILES_OF_A_JOB):
            names = step.names[start : start + _FILES_OF_A_JOB]
            try:
                jobs.append(self._pool.submit(self._read, place, names))
            except RuntimeError:
                # The system gives no more threads; the backup needs none.
                self._threads, self.is_reading = 0, False
                return ()
        self._jobs.extend(jobs)
        return jobs

    def _judge_reach(self, jobs: Iterable[Future[Fetched]], own: int) -> None:
        """Come nearer, or give up, if the backup had to read again."""
        done = [job.result() for job in jobs]
        ahead, length = sum(each.contents for each in done), sum(each.length for each in done)
        self._reach.judge(own, ahead, length)
        if not self._reach.files:
            self._threads, self.is_reading = 0, False

    def _judge(self, files: int) -> None:
        """Start or rest, by how many reads have reached the disk."""
        now = self._counter()
        self._files += files
        self._blocks += now - self._seen
        self._seen = now
        while self._jobs and self._jobs[0].done():
            self._blocks += self._jobs.popleft().result().blocks
        if self._files < _LEAST_FILES:
            return
        is_cold = self._blocks >= self._cold_from * self._files
        self._files = self._blocks = 0
        if is_cold and self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, "read-ahead")
        self.is_reading = is_cold

    def _read(self, place: Sequence[bytes], names: Sequence[bytes]) -> Fetched:
        """Bring files into the page cache, in a thread."""
        before = self._counter()
        try:
            directory = _open(place, self._root)
        except OSError:
            return NOTHING_FETCHED
        way = self._counter() - before
        try:
            fetched = self._fetch(directory, names)
        finally:
            os.close(directory)
        return fetched._replace(blocks=way + fetched.blocks)


def _open(place: Sequence[bytes], root: int) -> int:
    """Open a directory by its way from the root, with no more than two open
    at once: the backup needs descriptors too. The caller closes it.

    :raises OSError: it cannot be opened.
    """
    directory = os.dup(root)
    for name in place:
        above = directory
        try:
            directory = open_below(name, _DIRECTORY, above)
        finally:
            os.close(above)
    return directory


def _are_done(jobs: Sequence[Future[Fetched]]) -> bool:
    """Whether there was something to read, and all of it has been asked for."""
    return bool(jobs) and all(job.done() for job in jobs)
