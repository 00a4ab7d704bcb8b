"""What an administrator has switched: scope, allowed protocols, LIFs.

It is remembered over restarts, and answers come from memory, since sessions
ask on their way. The one rule: a change is durable before it is true.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import trio

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tapekit.hookspecs.state import StateStore

__all__ = ["Board"]

_NAMESPACE: Final = "cluster.board"
_NODE_SCOPE: Final = "node-scope"
_PROTOCOL: Final = "protocol/"
_LIF: Final = "lif/"
_ON, _OFF, _DOWN = b"on", b"off", b"down"
_AT: Final = "at "


@final
class Board:
    """The switches. Until :meth:`load` all stand as in a new cluster."""

    def __init__(self) -> None:
        self._state: StateStore | None = None
        self._changed: Mapping[str, bytes] = {}
        self._changing: Final = trio.Lock()
        self._away: Final[dict[str, trio.Event]] = {}

    def settle(self, state: StateStore) -> None:
        """Learn where they are remembered."""
        self._state = state

    def load(self) -> None:
        """Read what is remembered; blocks."""
        assert self._state is not None
        self._changed = dict(self._state.items(_NAMESPACE))

    @property
    def is_node_scoped(self) -> bool:
        """Whether the node is in the node-scoped NDMP mode."""
        return _NODE_SCOPE in self._changed

    @property
    def closed_svms(self) -> frozenset[str]:
        """SVMs whose allowed protocols do not have NDMP."""
        return frozenset(
            key.removeprefix(_PROTOCOL) for key in self._changed if key.startswith(_PROTOCOL)
        )

    def is_down(self, lif: str) -> bool:
        """Whether a LIF was taken down."""
        return self._changed.get(_LIF + lif) == _DOWN

    def node_of(self, lif: str) -> str | None:
        """The other node that a LIF was migrated to."""
        value = self._changed.get(_LIF + lif, b"").decode()
        return value.removeprefix(_AT) if value.startswith(_AT) else None

    def away(self, lif: str) -> trio.Event:
        """Set when a LIF goes from this node, the next time."""
        return self._away.setdefault(lif, trio.Event())

    async def set_scope(self, *, is_node_scoped: bool) -> None:
        """Set the NDMP mode for sessions to come."""
        await self._remember(_NODE_SCOPE, _ON if is_node_scoped else None)

    async def allow(self, svm: str, *, is_allowed: bool) -> None:
        """Say whether NDMP is an allowed protocol of an SVM."""
        await self._remember(_PROTOCOL + svm, None if is_allowed else _OFF)

    async def take_down(self, lif: str) -> None:
        """Take a LIF down, which ends what is on it."""
        await self._remember(_LIF + lif, _DOWN)
        self._set_away(lif)

    async def migrate(self, lif: str, node: str) -> None:
        """Say that a LIF is at another node now, which ends what is on it."""
        await self._remember(_LIF + lif, (_AT + node).encode())
        self._set_away(lif)

    async def bring_back(self, lif: str) -> None:
        """Say that a LIF is up at this node."""
        await self._remember(_LIF + lif, None)

    def _set_away(self, lif: str) -> None:
        event = self._away.pop(lif, None)
        if event is not None:
            event.set()

    async def _remember(self, key: str, value: bytes | None) -> None:
        """:raises TapekitError: the state cannot be written; nothing changed."""
        assert self._state is not None
        async with self._changing:
            await trio.to_thread.run_sync(self._state.change, _NAMESPACE, {key: value})
            changed = dict(self._changed)
            if value is None:
                changed.pop(key, None)
            else:
                changed[key] = value
            self._changed = changed
