"""What a backup tells its operator while it runs.

Everything that is not in the backup as it is in the tree becomes a warning
with the path, from a row of the catalogue; what was lost is counted, so that
the last message can say how much. The one rule: nothing is left out silently.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.data_engine import LogLevel

if TYPE_CHECKING:
    from tapekit.errors import TapekitError
    from tapekit.hookspecs.data_engine import JobServices

__all__ = ["BackupReport", "readable"]

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def readable(path: bytes) -> str:
    """A path for a message: one line of text, odd bytes as escapes."""
    text = path.decode("utf-8", "backslashreplace") or "/"
    return _CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", text)


@final
class BackupReport:
    """Messages of one running backup, and the count of its losses."""

    def __init__(self, services: JobServices, *, verbose: bool, debug: bool) -> None:
        self._services: Final = services
        self.is_verbose: Final = verbose
        """Whether :meth:`tell` says anything."""
        self._debug: Final = debug
        self._said: Final[set[str]] = set()
        self.losses = 0

    def say(self, text: str) -> None:
        """A message that everybody gets."""
        self._services.log(LogLevel.NORMAL, text)

    def tell(self, text: str) -> None:
        """A message for those who asked for many."""
        if self.is_verbose:
            self._services.log(LogLevel.NORMAL, text)

    def debug(self, text: str) -> None:
        """A message for those who look for a fault."""
        if self._debug:
            self._services.log(LogLevel.DEBUG, text)

    def warn(self, error: TapekitError) -> None:
        """Something is not quite as in the tree."""
        self._services.log(LogLevel.WARNING, str(error))

    def warn_once(self, error: TapekitError) -> None:
        """As :meth:`warn`, for the first error of each kind."""
        if error.id not in self._said:
            self._said.add(error.id)
            self.warn(error)

    def lose(self, error: TapekitError, count: int = 1) -> None:
        """Objects of the tree, or parts of them, are not in the backup."""
        self.losses += count
        self.warn(error)
