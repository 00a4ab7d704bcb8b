"""An image that is open, with everything that a command needs to work on it.

Reading is the same for all commands: by walks that write nothing, or by the
course that restores take. The one rule: what was lost is known and told
before a command ends, and a command with a loss fails.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Final, final

from tapekit.streams import StreamReader
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.image_expansion import ExpandedSource, compressed_block
from tapekit_dump.image_source import open_image
from tapekit_dump.image_walk import ImageWalk
from tapekit_dump.recover_catalogue import Catalogue
from tapekit_dump.recover_findings import Findings
from tapekit_dump.recover_selection import View, branches
from tapekit_dump.spool import SpoolRoom

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tapekit_dump.image_report import ImageReport
    from tapekit_dump.image_source import ImageSource
    from tapekit_dump.image_walk import ContentTaker

__all__ = ["ImageJob", "open_job", "whole_image"]

_ROOM: Final = SpoolRoom(None, 8 << 20)
_NAMES_IN_MEMORY: Final = 500_000
_EVERY_ONE: Final = sys.maxsize
"""Messages of each kind: whoever reads an old tape wants all of them."""


@final
class ImageJob:
    """An open image; for one pass."""

    def __init__(self, name: str, source: ImageSource, findings: Findings) -> None:
        self.name: Final = name
        self.source: Final = source
        self.findings: Final = findings
        block = compressed_block(source.beginning)
        self.is_compressed: Final = block is not None
        """Whether the dump program compressed the blocks."""
        self.reader: Final = StreamReader(
            source if block is None else ExpandedSource(source, block, findings.damage)
        )

    @contextlib.contextmanager
    def catalogue(self, views: Sequence[View]) -> Iterator[Catalogue]:
        """An empty catalogue for the directories that views need."""
        catalogue = Catalogue(branches(views), self.findings, _ROOM, _NAMES_IN_MEMORY)
        try:
            yield catalogue
        finally:
            catalogue.close()

    def walk(self, catalogue: Catalogue, taker: ContentTaker) -> ImageWalk:
        """A pass through all of it."""
        return ImageWalk(self.reader, catalogue, self.findings, taker)

    def conclude(self) -> None:
        """Fail if anything is missing.

        :raises TapekitError: says how much.
        """
        findings = self.findings
        if findings.has_ended_early:
            raise CATALOGUE.error(
                "image-ends-early",
                offset=self.reader.position,
                losses=findings.losses,
                damages=findings.damages,
            )
        if findings.losses or findings.damages:
            raise CATALOGUE.error(
                "image-incomplete", losses=findings.losses, damages=findings.damages
            )


@contextlib.contextmanager
def open_job(name: str, report: ImageReport, what: str) -> Iterator[ImageJob]:
    """Open an image, with a bar on a terminal.

    :param what: what is done with it, for the bar.
    :raises TapekitError: it cannot be opened, or is no dump.
    """
    findings = Findings(report, _EVERY_ONE)

    def unreadable(offset: int, length: int, error: OSError) -> None:
        findings.damage(
            CATALOGUE.error(
                "image-part-unreadable", offset=offset, length=length, reason=error.strerror
            )
        )

    with open_image(name, unreadable) as source:
        job = ImageJob(name, source, findings)
        try:
            with report.bar(source, what):
                yield job
        finally:
            job.reader.close()


def whole_image() -> View:
    """The view that has everything."""
    return View(0, (), (), None)
