"""Small files, made a directory's batch at a time and by two hands.

Making a small file is half a dozen calls into the kernel and little work in
Python. So batches go to a thread beside the one that reads the stream; while
that thread has enough to do, the reading one makes a batch itself, which
also lets the other come to the interpreter between its calls. The one rule:
what goes wrong in a thread is told by the one that gave it the work.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit_dump.recover_small import SmallFileMaker

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from tapekit_dump.recover_findings import Findings
    from tapekit_dump.recover_losses import Losses
    from tapekit_dump.recover_places import Places
    from tapekit_dump.recover_small import Outcome
    from tapekit_dump.small_files import SmallFile, SmallFileLoops

__all__ = ["Crew", "Hands"]

_BATCH_BYTES: Final = 1 << 20
_BATCH_FILES: Final = 256
_AHEAD: Final = 2
"""Batches that wait for each thread, the one that it makes included."""

_ALL_BITS: Final = 0o777


class Hands(NamedTuple):
    """What makes small files."""

    threads: int
    """Threads beside the one that reads the stream; may be 0."""
    loops: SmallFileLoops | None = None
    """What makes ordinary files, if not the engine itself."""


@final
class Crew:
    """Makes small files.

    :param old_format: whether users and groups have 16 bits.
    """

    def __init__(
        self,
        places: Places,
        losses: Losses,
        findings: Findings,
        hands: Hands,
        *,
        old_format: bool,
    ) -> None:
        self._places: Final = places
        self._losses: Final = losses
        self._findings: Final = findings
        self._threads: Final = hands.threads
        self._loops: Final = hands.loops
        self._old_format: Final = old_format
        self._executor: Final = ThreadPoolExecutor(hands.threads) if hands.threads else None
        self._given: Final[deque[Future[tuple[list[Outcome], int]]]] = deque()
        self._batch: list[SmallFile] = []
        self._bytes = 0
        self._umask: Final = _umask()
        self._directory = (-1, -1)

    def add(self, file: SmallFile) -> None:
        """Have a file made.

        :raises TapekitError: nothing more can be written to the destination;
            perhaps because of a file that was given before.
        """
        directory = file.place.view.number, file.place.directory
        if directory != self._directory:
            self._hand_over()
            self._directory = directory
        self._batch.append(file)
        self._bytes += len(file.content)
        if self._bytes >= _BATCH_BYTES or len(self._batch) >= _BATCH_FILES:
            self._hand_over()

    def close(self) -> None:
        """Wait until all files are made, and let the threads go.

        :raises TapekitError: as :meth:`add`.
        """
        try:
            self._hand_over()
            while self._given:
                self._tell(*self._given.popleft().result())
        finally:
            if self._executor is not None:
                self._executor.shutdown()

    def _hand_over(self) -> None:
        batch, self._batch, self._bytes = self._batch, [], 0
        while self._given and self._given[0].done():
            self._tell(*self._given.popleft().result())
        if not batch:
            return
        place = batch[0].place
        try:
            shared = self._places.descriptor(place.view, place.directory)
            inherits = self._places.inherits(shared)
            directory = os.dup(shared)
        except OSError as error:
            self._tell([(file.place, error) for file in batch], 0)
            return
        if self._executor is not None and len(self._given) < _AHEAD * self._threads:
            self._given.append(self._executor.submit(self._make, batch, directory, inherits))
        else:
            self._tell(*self._make(batch, directory, inherits))

    def _tell(self, outcomes: Sequence[Outcome], made: int) -> None:
        self._findings.restored += made
        for outcome in outcomes:
            if isinstance(outcome, tuple):
                self._losses.failed(*outcome)
            else:
                self._findings.warn(outcome)

    def _make(
        self, batch: Sequence[SmallFile], directory: int, inherits: bool
    ) -> tuple[list[Outcome], int]:
        """Make the files of one directory, which is closed then; gives what
        went wrong and how many are complete. Runs in any thread.
        """
        maker = SmallFileMaker(
            directory,
            inherits=inherits,
            umask=self._umask,
            old_format=self._old_format,
            path_of=self._losses.path_of,
            loops=self._loops,
        )
        try:
            return maker.make_all(batch), maker.made
        finally:
            os.close(directory)


def _umask() -> int:
    """The mode bits that new files of this process do not get."""
    # Asking the kernel for it would mean to change it, for all threads.
    with Path("/proc/self/status").open() as status:
        for line in status:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    return _ALL_BITS
