"""Performs what an administrator asks of aliases.

Changes are made one after the other: each makes a new book of the present
one and writes it down before it is answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import trio

from tapekit_aliases.addresses import parse_address
from tapekit_aliases.book import Kind, check_name
from tapekit_aliases.errors import CATALOGUE
from tapekit_aliases.operations import (
    CLEAR,
    SET,
    SHOW,
    AliasChange,
    Aliases,
    AliasRow,
    Scope,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.hookspecs.operations import NoRequest, OfferedOperation
    from tapekit_aliases.book import AliasBook
    from tapekit_aliases.naming import AliasNaming
    from tapekit_aliases.operations import ClearRequest, SetRequest

__all__ = ["Administration"]


@final
class Administration:
    """Performs the operations."""

    def __init__(self, naming: AliasNaming, node: Callable[[], str]) -> None:
        """:param node: tells the name of this node."""
        self._naming: Final = naming
        self._node: Final = node

    def offered(self) -> tuple[OfferedOperation, ...]:
        """All of them, for the kernel."""
        return (
            SHOW.performed_by(self.show),
            SET.performed_by(self.set),
            CLEAR.performed_by(self.clear),
        )

    async def keep_new(self) -> None:
        """Write down the aliases of devices that are new.

        :raises TapekitError: the store cannot be written.
        """
        async with self._naming.changing:
            await self._keep(self._naming.book)

    async def show(self, _request: NoRequest) -> Aliases:
        """List all aliases."""
        book = self._naming.book
        return Aliases(self._node(), tuple(self._row(book, name) for name in book.aliases))

    async def set(self, request: SetRequest) -> AliasChange:
        """Set an alias.

        :raises TapekitError: it cannot be set, for the reason given.
        """
        self._check_node(request.node)
        name, address = check_name(request.alias), parse_address(request.mapping)
        async with self._naming.changing:
            before = self._naming.book
            after = before.with_alias(name, address, self._naming.devices)
            await self._keep(after)
        gone = tuple(one for one in before.aliases if one not in after.aliases)
        return AliasChange(set=self._row(after, name), cleared=gone)

    async def clear(self, request: ClearRequest) -> AliasChange:
        """Clear one alias, or those of a scope.

        :raises TapekitError: there is no such alias, or the request does not
            say what to clear.
        """
        self._check_node(request.node)
        async with self._naming.changing:
            book = self._naming.book
            names = _names(book, request)
            await self._keep(book.without(names, self._naming.devices))
        return AliasChange(cleared=tuple(names))

    async def _keep(self, book: AliasBook) -> None:
        # What has begun to be written is finished, so that names and store agree.
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._naming.keep, book)

    def _row(self, book: AliasBook, name: str) -> AliasRow:
        paths = [one.physical_path for one in self._naming.devices if name in book.names(one)]
        return AliasRow(
            alias=name,
            mapping=str(book.aliases[name]),
            physical_path=paths[0] if paths else "",
        )

    def _check_node(self, node: str | None) -> None:
        present = self._node()
        if node not in {None, "local", present}:
            raise CATALOGUE.error("other-node", node=node, present=present)


def _names(book: AliasBook, request: ClearRequest) -> list[str]:
    if (request.alias is None) == (request.scope is None):
        raise CATALOGUE.error("clear-what")
    if request.alias is not None:
        return [check_name(request.alias)]
    return [name for name in book.aliases if request.scope in {Scope.ALL, Kind.of_name(name).value}]
