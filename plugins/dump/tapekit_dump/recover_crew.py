"""Small files, made by threads that take a directory's files at a time.

Making a small file is half a dozen calls into the kernel and hardly any work
in Python, so that more than one thread pays while another reads the stream.
Files of one directory stay together, since the kernel lets one thread at a
time change a directory. The one rule: what the threads find out is told by
the thread that gave them the work, in the order in which it gave it.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

from tapekit_dump.recover_small import SmallFileMaker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit_dump.recover_findings import Findings
    from tapekit_dump.recover_losses import Losses
    from tapekit_dump.recover_places import Places
    from tapekit_dump.recover_small import Outcome, SmallFile

__all__ = ["Crew"]

_BATCH_BYTES: Final = 1 << 20
_BATCH_FILES: Final = 256
_ALL_BITS: Final = 0o777


@final
class Crew:
    """Makes small files with ``threads`` threads; with 0, at once.

    :param old_format: whether users and groups have 16 bits.
    """

    def __init__(
        self,
        places: Places,
        losses: Losses,
        findings: Findings,
        threads: int,
        *,
        old_format: bool,
    ) -> None:
        self._places: Final = places
        self._losses: Final = losses
        self._findings: Final = findings
        self._threads: Final = threads
        self._old_format: Final = old_format
        self._executor: Final = ThreadPoolExecutor(threads) if threads else None
        self._given: Final[deque[Future[list[Outcome]]]] = deque()
        self._batch: list[SmallFile] = []
        self._bytes = 0
        self._umask: Final = _umask()
        self._directory = (-1, -1)
        self.made = 0
        """Files that are complete."""

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
                self._tell(self._given.popleft().result())
        finally:
            if self._executor is not None:
                self._executor.shutdown()

    def _hand_over(self) -> None:
        batch, self._batch, self._bytes = self._batch, [], 0
        if not batch:
            return
        place = batch[0].place
        try:
            shared = self._places.descriptor(place.view, place.directory)
            inherits = self._places.inherits(shared)
            directory = os.dup(shared)
        except OSError as error:
            self._tell([(file.place, error) for file in batch])
            return
        self.made += len(batch)
        if self._executor is None:
            self._tell(self._make(batch, directory, inherits))
            return
        self._given.append(self._executor.submit(self._make, batch, directory, inherits))
        if len(self._given) > 2 * self._threads:
            self._tell(self._given.popleft().result())

    def _tell(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, tuple):
                self.made -= 1
                self._losses.failed(*outcome)
            else:
                self._findings.warn(outcome)

    def _make(self, batch: Sequence[SmallFile], directory: int, inherits: bool) -> list[Outcome]:
        """Make the files of one directory, which is closed then. Runs in a
        thread of the crew.
        """
        maker = SmallFileMaker(
            directory,
            inherits=inherits,
            umask=self._umask,
            old_format=self._old_format,
            path_of=self._losses.path_of,
        )
        try:
            return maker.make_all(batch)
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
