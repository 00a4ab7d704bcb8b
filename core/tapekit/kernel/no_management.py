"""The way to a running stack that has none: every call says what to enable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn, final

from tapekit.errors import CORE

if TYPE_CHECKING:
    from pathlib import Path

    from tapekit.hookspecs.operations import Feed, Operation, Privilege

__all__ = ["NoManagement"]


@final
class NoManagement:
    """What commands get where no plugin offers a ``Management``."""

    def __init__(self, stack_file: Path) -> None:
        self._stack_file: Final = stack_file

    def call(
        self, operation: Operation[Any, Any], request: object, privilege: Privilege | None = None
    ) -> NoReturn:
        """Refuse.

        :raises TapekitError: ``core.no-management``.
        """
        del request, privilege
        self._refuse(operation.name)

    def follow(
        self, feed: Feed[Any, Any], request: object, privilege: Privilege | None = None
    ) -> NoReturn:
        """Refuse, as :meth:`call`."""
        del request, privilege
        self._refuse(feed.name)

    def _refuse(self, operation: str) -> NoReturn:
        raise CORE.error("no-management", file=self._stack_file, operation=operation)
