"""Performs what an administrator asks of a node's place in its cluster.

A change holds for sessions to come, apart from a LIF that goes: what is on
it ends at once. No address of the machine is moved here; that is for whoever
runs the network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import trio

from tapekit.hookspecs.operations import NoReply
from tapekit_cluster import operations as ops
from tapekit_cluster.errors import CATALOGUE
from tapekit_cluster.interfaces import owner_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.operations import NoRequest, OfferedOperation
    from tapekit_cluster.board import Board
    from tapekit_cluster.settings import ClusterSettings, Lif

__all__ = ["Administration"]


@final
class Administration:
    """Performs the operations."""

    def __init__(
        self, settings: ClusterSettings, board: Board, kernel: Callable[[], Kernel]
    ) -> None:
        self._settings: Final = settings
        self._board: Final = board
        self._kernel: Final = kernel

    def offered(self) -> tuple[OfferedOperation, ...]:
        """All of them, for the kernel."""
        return (
            ops.SCOPE.performed_by(self.scope),
            ops.SET_SCOPE.performed_by(self.set_scope),
            ops.ALLOW.performed_by(self.allow),
            ops.LIFS.performed_by(self.lifs),
            ops.MOVE_LIF.performed_by(self.move_lif),
        )

    async def scope(self, _request: NoRequest) -> ops.Scope:
        """Show the NDMP mode."""
        return ops.Scope(node=self._kernel().node_name, is_node_scoped=self._board.is_node_scoped)

    async def set_scope(self, request: ops.ScopeChange) -> NoReply:
        """Set the NDMP mode for sessions to come."""
        await self._board.set_scope(is_node_scoped=request.is_node_scoped)
        return NoReply()

    async def allow(self, request: ops.ProtocolChange) -> NoReply:
        """Allow NDMP for an SVM, or not, in sessions to come.

        :raises TapekitError: there is no such SVM.
        """
        known = await self._svms()
        if request.vserver not in known:
            raise CATALOGUE.error(
                "no-such-svm", svm=request.vserver, known=", ".join(sorted(known)) or "none"
            )
        await self._board.allow(request.vserver, is_allowed=request.is_allowed)
        return NoReply()

    async def _svms(self) -> set[str]:
        storage = self._kernel().storage
        rows = () if storage is None else await trio.to_thread.run_sync(storage.filesystems)
        of_volumes = {row.path.split("/")[1] for row in rows}
        return of_volumes | {owner_of(lif, self._settings) for lif in self._settings.lif}

    async def lifs(self, _request: NoRequest) -> ops.Lifs:
        """List the logical interfaces."""
        return ops.Lifs(tuple(map(self._row, self._settings.lif)))

    def _row(self, lif: Lif) -> ops.LifRow:
        node = self._board.node_of(lif.name)
        return ops.LifRow(
            vserver=owner_of(lif, self._settings),
            lif=lif.name,
            role=lif.role,
            status="down" if self._board.is_down(lif.name) else "up",
            addresses=lif.addresses,
            current_node=node or self._kernel().node_name,
            is_home=node is None,
            permits_ndmp=lif.firewall_policy,
        )

    async def move_lif(self, request: ops.LifMove) -> NoReply:
        """Migrate a logical interface, take it down, or bring it back.

        :raises TapekitError: there is no such LIF.
        """
        self._require(request)
        if request.is_down:
            await self._board.take_down(request.lif)
        elif request.node not in {None, self._kernel().node_name}:
            assert request.node is not None
            await self._board.migrate(request.lif, request.node)
        else:
            await self._board.bring_back(request.lif)
        return NoReply()

    def _require(self, request: ops.LifMove) -> None:
        lifs = self._settings.lif
        fitting = [one for one in lifs if request.vserver in {None, owner_of(one, self._settings)}]
        if all(one.name != request.lif for one in fitting):
            known = ", ".join(one.name for one in fitting) or "none"
            raise CATALOGUE.error("no-such-lif", lif=request.lif, known=known)
