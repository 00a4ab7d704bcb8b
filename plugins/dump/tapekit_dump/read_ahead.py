"""Reading small files before their turn, where they come from a disk.

A disk answers several requests in hardly more time than one, but a backup
asks for one file after the other. So once its reads reach the disk, threads
go ahead of it through the plan and bring files into the page cache; once
theirs no longer do, they rest, since with everything in the cache they only
cost time. The one rule: nothing that happens here is told or changes what is
written; the backup itself meets it again.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit_dump.descent import open_below
from tapekit_dump.plan import StepKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from tapekit_dump.plan import Step

__all__ = ["ReadAhead", "blocks_read"]

_FILES_AHEAD: Final = 2048
"""How far the threads go ahead: enough for them while the backup waits for
its client, and little enough to be in the cache still at its turn."""
_FILES_OF_A_JOB: Final = 16
_DEEPEST: Final = 64
"""Below it the way to a file takes longer than its turn."""
_BYTES_OF_A_FILE: Final = 256 * 1024
"""The kernel itself reads ahead in longer files."""
_COLD_FROM: Final = 0.25
"""Reads that reach the disk, for each file, from which on files count as
cold; directories and inodes share blocks."""
_LEAST_FILES: Final = 64
"""Fewer tell nothing."""
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


def blocks_read() -> int:
    """Blocks of 512 bytes that this thread has read from disks."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_inblock


class _Done(NamedTuple):
    files: int
    blocks: int


@final
class ReadAhead:
    """Goes through a plan ahead of who writes it; for one thread, and its own.

    :param root: the tree's open directory, borrowed.
    :param threads: 0 lets it do nothing.
    :param counter: like :func:`blocks_read`.
    """

    def __init__(self, root: int, threads: int, counter: Callable[[], int] = blocks_read) -> None:
        self._root: Final = root
        self._threads = threads
        self._counter: Final = counter
        self._pool: ThreadPoolExecutor | None = None
        self._jobs: Final[deque[Future[_Done]]] = deque()
        self._waiting: Final[deque[Step]] = deque()
        self._files_waiting = 0
        self._place: Final[list[bytes]] = []
        self._files = 0
        self._blocks = 0
        self._seen = 0
        self.is_reading = False
        """Whether threads are reading."""

    def steps(self, plan: Iterable[Step]) -> Iterator[Step]:
        """The steps of a plan, which is read on while the threads need more.

        :raises TapekitError: the plan cannot be read.
        """
        coming = iter(plan)
        self._seen = self._counter()
        while (step := self._next(coming)) is not None:
            yield step
            if self._threads and step.kind is StepKind.REGULAR:
                self._judge(len(step.names))

    def close(self) -> None:
        """Let the threads end."""
        self.is_reading = False
        self._jobs.clear()
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(cancel_futures=True)

    def _next(self, coming: Iterator[Step]) -> Step | None:
        while self.is_reading and self._files_waiting < _FILES_AHEAD:
            step = self._pull(coming)
            if step is None:
                break
            self._waiting.append(step)
            self._files_waiting += len(step.names)
            self._send_ahead(step)
        if not self._waiting:
            return self._pull(coming)
        step = self._waiting.popleft()
        self._files_waiting -= len(step.names)
        return step

    def _pull(self, coming: Iterator[Step]) -> Step | None:
        """The next step of the plan, and the place that it leads to."""
        step = next(coming, None)
        if step is not None and step.kind is StepKind.DIRECTORY:
            del self._place[max(0, step.depth - 1) :]
            if step.depth:
                self._place.append(step.names[0])
        return step

    def _send_ahead(self, step: Step) -> None:
        if step.kind is not StepKind.REGULAR or len(self._place) > _DEEPEST:
            return
        assert self._pool is not None
        place = tuple(self._place)
        for start in range(0, len(step.names), _FILES_OF_A_JOB):
            names = step.names[start : start + _FILES_OF_A_JOB]
            try:
                self._jobs.append(self._pool.submit(self._read, place, names))
            except RuntimeError:
                # The system gives no more threads; the backup needs none.
                self._threads, self.is_reading = 0, False
                return

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
        is_cold = self._blocks >= _COLD_FROM * self._files
        self._files = self._blocks = 0
        if is_cold and self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, "read-ahead")
        self.is_reading = is_cold

    def _read(self, place: Sequence[bytes], names: Sequence[bytes]) -> _Done:
        """Bring files into the page cache, in a thread."""
        before = self._counter()
        with contextlib.suppress(OSError):
            directory = _open(place, self._root)
            try:
                for name in names:
                    with contextlib.suppress(OSError):
                        _touch(name, directory)
            finally:
                os.close(directory)
        return _Done(len(names), self._counter() - before)


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


def _touch(name: bytes, directory: int) -> None:
    """Let a file's beginning and its attributes be read from the disk.

    :raises OSError: it cannot be opened.
    """
    fd = open_below(name, _FILE, directory)
    try:
        os.posix_fadvise(fd, 0, _BYTES_OF_A_FILE, os.POSIX_FADV_WILLNEED)
        os.listxattr(fd)
    finally:
        os.close(fd)
