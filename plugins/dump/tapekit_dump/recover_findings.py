"""What a restore could not do, told as it happens and counted to the end.

A loss is something of the backup that is not in the destination; a warning
is an attribute that is not as it was. The one rule: everything lost is
counted here, and a job with a loss does not end without saying so.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.data_engine import FileResult, LogLevel
from tapekit_dump.errors import CATALOGUE

if TYPE_CHECKING:
    from tapekit.errors import TapekitError
    from tapekit.hookspecs.data_engine import JobServices

__all__ = ["Findings", "fatal_error", "is_fatal", "result_of"]

_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_ONCE: Final = frozenset({"dump.owners-not-restored"})
"""Warnings that are the same for all objects."""

_LOSSES: Final = frozenset({"dump.nt-stream-not-restored"})
"""What comes as an attribute but is content."""

_RESULTS: Final = {
    errno.EACCES: FileResult.FAILED_PERMISSION,
    errno.EPERM: FileResult.FAILED_PERMISSION,
    errno.ENOENT: FileResult.NO_DIRECTORY,
    errno.ENOTDIR: FileResult.NO_DIRECTORY,
    errno.ELOOP: FileResult.NO_DIRECTORY,
    errno.EEXIST: FileResult.FILE_PATH_EXISTS,
    errno.EISDIR: FileResult.FILE_PATH_EXISTS,
    errno.ENOMEM: FileResult.OUT_OF_MEMORY,
    errno.EIO: FileResult.IO_ERROR,
}


@final
class Findings:
    """Tells the operator what goes wrong, and how much it was.

    :param limit: messages of each kind; more are only counted.
    :param debug: whether :meth:`debug` says anything.
    """

    def __init__(self, services: JobServices, limit: int, *, debug: bool = False) -> None:
        self._services: Final = services
        self._is_debugging: Final = debug
        self._limit: Final = limit
        self.restored = 0
        """Names under which complete objects stand, without directories."""
        self.losses = 0
        """Objects or names of the backup that are missing or incomplete."""
        self.damages = 0
        """Parts of the stream that could not be read."""
        self.warnings = 0
        self.changes = 0
        """Warnings that do not come once for all objects."""
        self._said: Final[set[str]] = set()
        self._end: int | None = None

    def warn(self, finding: TapekitError) -> None:
        """Something is there, but not as it was; without content that it
        kept in an attribute, that is a loss.
        """
        if finding.id in _LOSSES:
            self.lose(finding)
            return
        if finding.id in _ONCE:
            if finding.id in self._said:
                return
            self._said.add(finding.id)
        else:
            self.changes += 1
        self.warnings += 1
        self._tell(LogLevel.WARNING, finding, self.warnings)

    def lose(self, finding: TapekitError) -> None:
        """Something is not there, or not all of it."""
        self.losses += 1
        self._tell(LogLevel.ERROR, finding, self.losses)

    def damage(self, finding: TapekitError) -> None:
        """A part of the stream could not be read."""
        self.damages += 1
        self._tell(LogLevel.ERROR, finding, self.damages)

    def end_early(self, offset: int) -> None:
        """The stream ended at ``offset`` and not with an END header."""
        self._end = offset

    @property
    def has_ended_early(self) -> bool:
        """Whether the stream had no END header."""
        return self._end is not None

    def conclude(self) -> None:
        """Raise if anything of the backup is missing.

        :raises TapekitError: says how much.
        """
        if self._end is not None:
            raise CATALOGUE.error(
                "stream-ended-early",
                offset=self._end,
                losses=self.losses,
                damages=self.damages,
            )
        if self.losses or self.damages:
            raise CATALOGUE.error("restore-incomplete", losses=self.losses, damages=self.damages)

    def note(self, text: str) -> None:
        """Something an operator likes to know."""
        self._services.log(LogLevel.NORMAL, text)

    def debug(self, text: str) -> None:
        """Something that helps to find a fault (DEBUG)."""
        if self._is_debugging:
            self._services.log(LogLevel.DEBUG, text)

    def _tell(self, level: LogLevel, finding: TapekitError, count: int) -> None:
        if count <= self._limit:
            self._services.log(level, str(finding))
        elif count == self._limit + 1:
            self._services.log(level, str(CATALOGUE.error("more-of-the-same", limit=self._limit)))


def is_fatal(error: OSError) -> bool:
    """Whether nothing more can be written to the destination."""
    return error.errno in _NO_SPACE or error.errno == errno.EROFS


def fatal_error(error: OSError, path: str) -> TapekitError:
    """What ends the job after an error that :func:`is_fatal`."""
    if error.errno == errno.EROFS:
        return CATALOGUE.error("destination-volume-read-only")
    return CATALOGUE.error("no-space-left", path=path, reason=error.strerror)


def result_of(error: OSError) -> FileResult:
    """How the restore list tells an error (NDMP v4, LOG_FILE)."""
    return _RESULTS.get(error.errno or 0, FileResult.UNDEFINED_ERROR)
