"""A backup with file history, and direct restores of it."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

from tapekit.errors import TapekitError
from tapekit.hookspecs.data_engine import LogLevel, Selection
from tapekit.testing.memory_connection import MemoryRanges, MemorySource
from tapekit.testing.memory_services import MemoryServices

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

VOLUME = "/vs1/vol1"


class Restored(NamedTuple):
    """What came of a direct restore."""

    error: TapekitError | None
    services: MemoryServices
    ranges: MemoryRanges

    @property
    def bytes_asked(self) -> int:
        return sum(length for _, length in self.ranges.requests)

    def told(self, level: LogLevel = LogLevel.ERROR) -> list[str]:
        return [text for each, text in self.services.messages if each is level]


class DirectSite:
    """A site whose volume has been backed up with file history."""

    def __init__(self, site: Any, **variables: str) -> None:
        self.site = site
        self.backup = site.back_up(("HIST", "Y"), *variables.items(), wants_history=True)
        history = self.backup.services.collected
        positions = {entry.node: entry.position for entry in history.nodes}
        self.places: dict[str, tuple[int, int]] = {}
        parents: dict[int, str] = {2: ""}
        for name, node, parent in history.directories:
            if name not in (b".", b".."):
                path = f"{parents[parent]}/{os.fsdecode(name)}".lstrip("/")
                parents.setdefault(node, path)
                self.places[path] = node, positions.get(node, 0)
        self.data = self.backup.data

    def select(self, path: str, target: str | None = None, **changes: int) -> Selection:
        """An entry of a restore list, as a client makes it of the history."""
        node, position = self.places[path]
        entry = Selection(path, target or f"{VOLUME}/back/{path}", "", "", node, position)
        return entry._replace(**changes)

    def restore(
        self, selections: Sequence[Selection], *, data: bytes | None = None, **variables: str
    ) -> Restored:
        environment = {**self.backup.environment, "DIRECT": "Y", **variables}
        # Batches of two odd pieces: what a mover sends has no regard for records.
        ranges = MemoryRanges(
            self.data if data is None else data,
            lambda _, part: MemorySource(part, cuts=(70_001, 999), per_batch=2),
        )
        services, error = MemoryServices(), None
        job = self.site.engine.prepare_recover(tuple(environment.items()), selections, "a test")
        with closing(job):
            try:
                job.run(ranges, services)
            except TapekitError as raised:
                error = raised
        for source in ranges.sources:
            assert source.taken == source.released
        return Restored(error, services, ranges)

    @property
    def back(self) -> Path:
        return self.site.volume / "back"
