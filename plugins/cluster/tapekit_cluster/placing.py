"""Where control connections come in; see ``tapekit.hookspecs.placement``.

A place is made of the NDMP mode, the LIF that has the address, and what was
switched, all as they are at that moment: a session keeps the mode and the
protocols it began with. The one rule: an address that no LIF has leads
nowhere, once the stack file lists LIFs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import trio

from tapekit.hookspecs.authentication import AccountContext
from tapekit.hookspecs.placement import EVERYTHING, Place
from tapekit_cluster.errors import CATALOGUE
from tapekit_cluster.interfaces import interfaces_of, numeric, owner_of
from tapekit_cluster.sights import NODE_SCOPE, SIGHTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit.hookspecs.state import StateStore
    from tapekit_cluster.board import Board
    from tapekit_cluster.settings import ClusterSettings, Lif

__all__ = ["ClusterPlacement"]

_WITHOUT_IN_NODE_SCOPE: Final = frozenset({"smtape"})
_NODE_ACCOUNTS: Final = frozenset({AccountContext.NODE})
_SVM_ACCOUNTS: Final = frozenset({AccountContext.SVM})
_CLUSTER_ACCOUNTS: Final = frozenset({AccountContext.CLUSTER})


def _nothing() -> None:
    """What is to be done where nothing but places is prepared."""


@final
class ClusterPlacement:
    """Knows the LIFs of this node."""

    def __init__(
        self, settings: ClusterSettings, board: Board, prepare: Callable[[], None] = _nothing
    ) -> None:
        """:param prepare: what else is to be done before any session; may block.
        :raises TapekitError: the stack file contradicts itself.
        """
        self._prepare: Final = prepare
        self._settings: Final = settings
        self._board: Final = board
        self._by_address: Final = interfaces_of(settings)

    def settle(self, state: StateStore) -> None:
        """Learn where switches are remembered."""
        self._board.settle(state)

    async def prepare(self) -> None:
        """Read what is remembered."""
        await trio.to_thread.run_sync(self._board.load)
        await trio.to_thread.run_sync(self._prepare)

    @property
    def svms(self) -> Sequence[str]:
        """The SVMs that LIFs belong to."""
        return sorted({owner_of(lif, self._settings) for lif in self._settings.lif})

    def place(self, host: str) -> Place:
        """The place of a control connection.

        :raises TapekitError: NDMP is not taken there.
        """
        lif = self._lif(host)
        if self._board.is_node_scoped:
            return Place(
                interface="" if lif is None else lif.name,
                contexts=_NODE_ACCOUNTS,
                is_node_scoped=True,
                without_engines=_WITHOUT_IN_NODE_SCOPE,
                root_volume=self._settings.root_volume,
                sight=NODE_SCOPE,
                aware_sight=NODE_SCOPE,
            )
        return self._in_svm_scope(lif)

    def _lif(self, host: str) -> Lif | None:
        """The LIF with an address, if the stack file lists any."""
        if not self._by_address:
            return None
        lif = self._by_address.get(numeric(host))
        if lif is None:
            raise CATALOGUE.error("no-lif-at-address", address=host)
        if not lif.firewall_policy:
            raise CATALOGUE.error("firewall", lif=lif.name)
        if (standing := self.standing(lif)) is not None:
            raise CATALOGUE.error("lif-not-here", lif=lif.name, standing=standing)
        return lif

    def standing(self, lif: Lif) -> str | None:
        """Why a LIF is not up at this node, if so."""
        if self._board.is_down(lif.name):
            return "it was taken down"
        node = self._board.node_of(lif.name)
        return None if node is None else f"it was migrated to {node}"

    def _in_svm_scope(self, lif: Lif | None) -> Place:
        closed = self._board.closed_svms
        if lif is None:
            return Place(
                closed_svms=closed,
                may_mix_families=True,
                root_volume=self._settings.root_volume,
                sight=EVERYTHING,
                aware_sight=EVERYTHING,
            )
        owner = owner_of(lif, self._settings)
        if owner in closed:
            raise CATALOGUE.error("not-allowed-for-svm", svm=owner, lif=lif.name)
        return Place(
            interface=lif.name,
            addresses=lif.addresses,
            owner=owner,
            svms=frozenset({lif.svm} if lif.svm else ()),
            closed_svms=closed,
            contexts=_SVM_ACCOUNTS if lif.role == "data" else _CLUSTER_ACCOUNTS,
            may_mix_families=True,
            root_volume=self._settings.root_volume,
            sight=SIGHTS[lif.role, False],
            aware_sight=SIGHTS[lif.role, True],
        )

    async def until_gone(self, place: Place) -> str:
        """Wait until the LIF of a place is not at this node any more."""
        if not place.interface:
            await trio.sleep_forever()
        lif = next(one for one in self._settings.lif if one.name == place.interface)
        if self.standing(lif) is None:
            await self._board.away(lif.name).wait()
        standing = self.standing(lif) or "it was away for a moment"
        return str(CATALOGUE.error("lif-not-here", lif=lif.name, standing=standing))
