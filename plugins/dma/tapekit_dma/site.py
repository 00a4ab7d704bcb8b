"""What the commands work on: the settings, the folder, the catalogue.

The one rule: a command opens the catalogue when it runs, so that one that
only prints help touches nothing.
"""

from __future__ import annotations

import os
import secrets
import sys
from typing import TYPE_CHECKING, Final, TypeVar, final

import trio

from tapekit.console import Printer
from tapekit_dma.catalogue import open_catalogue
from tapekit_dma.errors import CATALOGUE
from tapekit_dma.sessions import Room
from tapekit_dma.settings import listed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit_dma.catalogue import Catalogue
    from tapekit_dma.settings import DmaSettings, MediaSetSettings

__all__ = ["Site"]

T = TypeVar("T")

_LINE_BYTES: Final = 4096
"""What a terminal hands over at most at a time."""


@final
class Site:
    """The application of one stack file."""

    def __init__(self, settings: DmaSettings) -> None:
        self.settings: Final = settings
        self._kernel: Kernel | None = None

    def settle(self, kernel: Kernel) -> None:
        """Meet the stack."""
        self._kernel = kernel

    def catalogue(self) -> AbstractContextManager[Catalogue]:
        """Open the catalogue."""
        return open_catalogue(self._settled().base_directory / self.settings.directory)

    def room(self) -> Room:
        """What a run needs; progress goes to standard error."""
        kernel = self._settled()
        is_attended = sys.stdin.isatty()
        return Room(
            settings=self.settings,
            base=kernel.base_directory,
            clock=kernel.clock,
            tell=Printer(sys.stderr).say,
            ask=_ask if is_attended else None,
        )

    def media_set(self, name: str) -> MediaSetSettings:
        """The settings of a media set.

        :raises TapekitError: there is none of this name.
        """
        if name not in self.settings.media_sets:
            raise CATALOGUE.error("no-such-media-set", name=name)
        return self.settings.media_sets[name]

    def only(self, known: Mapping[str, T], kind: str) -> str:
        """The one name that there is.

        :raises TapekitError: there are several, or none.
        """
        if len(known) != 1:
            raise CATALOGUE.error("which-one", kind=kind, known=listed(known))
        return next(iter(known))

    @staticmethod
    def new_label() -> str:
        """An identifier for a label."""
        return secrets.token_hex(8)

    def _settled(self) -> Kernel:
        assert self._kernel is not None
        return self._kernel


async def _ask(text: str) -> bool:
    """Wait for a line at the terminal, without a thread that would outlive
    Ctrl-C; the end of input is a no.
    """
    Printer(sys.stderr).say(f"{text}; is it there? [Y/n]")
    terminal = sys.stdin.fileno()
    await trio.lowlevel.wait_readable(terminal)
    line = os.read(terminal, _LINE_BYTES)
    return bool(line) and not line.strip().lower().startswith(b"n")
