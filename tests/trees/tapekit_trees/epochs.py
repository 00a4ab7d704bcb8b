"""Volumes whose time moves only when a backup begins.

Incremental backups compare change times, which nobody can set, with dates in
whole seconds, which no test wants to wait for. So a tree here tells change
times as a Snapshot copy would: all that happened before one backup is a
thousand seconds older than what happened after it. The one rule: the order
of things is the real one.
"""

from __future__ import annotations

import bisect
import os
import time
from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.storage import Origin, TreeTraits

if TYPE_CHECKING:
    from pathlib import Path

    from tapekit.hookspecs.storage import KeepGoing

__all__ = ["EPOCH_S", "VOLUME", "EpochStorage", "EpochTree"]

VOLUME: Final = "/vs1/vol1"
EPOCH_S: Final = 1000
_FIRST_S: Final = 1_700_000_000
_COARSE_CLOCK: Final = 5
"""``CLOCK_REALTIME_COARSE`` of Linux, which :mod:`time` does not name."""


@final
class EpochTree:
    """A directory as the tree of a backup or a restore."""

    def __init__(
        self, directory: Path, path: str, moments: list[int], *, by_content: bool = False
    ) -> None:
        self.descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        self.volume_path = VOLUME
        self.subpath = path.removeprefix(VOLUME).strip("/")
        self.path = path
        self.snapshot_name = "epochs"
        self.traits = TreeTraits()
        self._moments: Final = moments
        self._by_content: Final = by_content
        self.taken_at_s = _FIRST_S + EPOCH_S * len(moments)
        self._is_closed = False

    def origin(self, status: os.stat_result) -> Origin:
        """The inode number as it is, the change time by backups."""
        changed_ns = status.st_mtime_ns if self._by_content else status.st_ctime_ns
        epoch = bisect.bisect_right(self._moments, changed_ns)
        return Origin(status.st_ino, (_FIRST_S + EPOCH_S * epoch) * 10**9)

    def birth_ns(self, directory: int, name: bytes) -> None:
        """Nothing tells it: epochs are made later than their objects."""

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            os.close(self.descriptor)


@final
class EpochStorage:
    """The volume ``/vs1/vol1`` is a directory, ``/vs1/NAME`` one beside it.

    :param by_content: whether only a change of content moves change times, as
        on file systems where new names do not.
    """

    def __init__(self, directory: Path, *, by_content: bool = False) -> None:
        self._directory: Final = directory
        self._by_content: Final = by_content
        self._moments: Final[list[int]] = []

    def _place(self, path: str) -> Path:
        if path == VOLUME or path.startswith(f"{VOLUME}/"):
            return self._directory / path.removeprefix(VOLUME).strip("/")
        return self._directory.parent / path.removeprefix("/vs1/")

    def check_backup(
        self, path: str, *, may_be_file: bool = False, may_be_special: bool = False
    ) -> None:
        self._place(path).stat()

    def open_backup(
        self, path: str, holder: str, keep_going: KeepGoing, *, may_be_file: bool = False
    ) -> EpochTree:
        keep_going()
        moments = [*self._moments]
        tree = EpochTree(self._place(path), path, moments, by_content=self._by_content)
        self._moments.append(_next_tick_ns())
        tree.taken_at_s += EPOCH_S
        return tree

    def open_restore(self, path: str, holder: str) -> EpochTree:
        self._place(path).mkdir(parents=True, exist_ok=True)
        return EpochTree(self._place(path), path, [])

    def filesystems(self) -> tuple[()]:
        return ()


def _next_tick_ns() -> int:
    """A time that is later than all changes before the call, and not later
    than any after it: file systems take times from a clock that ticks, or a
    finer one where somebody looked at the last one.
    """
    begun = time.time_ns()
    now = time.clock_gettime_ns(_COARSE_CLOCK)
    while now <= begun:
        now = time.clock_gettime_ns(_COARSE_CLOCK)
    return now
