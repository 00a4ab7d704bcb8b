"""Placement: what a control connection leads to, by the address it came in on.

In a cluster the address decides what a session sees: which volumes, which
devices, which kinds of data connection, and whose accounts may log in. A
place is data, made once for a session; the protocol asks it in few places,
and no engine, mover or drive knows of it. The one rule: a place only takes
away. Without a plugin that provides placement everything is at
:data:`ANYWHERE`.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from tapekit.hookspecs._markers import hookspec
from tapekit.hookspecs.authentication import AccountContext

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ANYWHERE",
    "EVERYTHING",
    "Place",
    "Placement",
    "Reach",
    "Sight",
    "tapekit_provide_placement",
]


class Reach(enum.Enum):
    """How far a session sees."""

    NOTHING = "none"
    NODE = "node"
    CLUSTER = "cluster"


class Sight(msgspec.Struct, frozen=True):
    """What a session sees, at most."""

    volumes: Reach
    devices: Reach
    address_kinds: frozenset[str]
    """Kinds of data connection, as transports call them: ``LOCAL``, ``TCP``,
    ``TCP_IPV6``."""


EVERYTHING: Final = Sight(Reach.CLUSTER, Reach.CLUSTER, frozenset({"LOCAL", "TCP", "TCP_IPV6"}))


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a control connection came in; of one session."""

    interface: str = ""
    """The logical interface (LIF) that has the address; empty for none."""
    addresses: tuple[str, ...] = ()
    """Its numeric addresses, also for data connections of the other family."""
    owner: str = ""
    """The storage virtual machine that the interface belongs to; it has to
    be served. Empty for none."""
    svms: frozenset[str] = frozenset()
    """The storage virtual machines whose paths the session may use; empty
    means all."""
    closed_svms: frozenset[str] = frozenset()
    """Those whose paths it may not use."""
    contexts: frozenset[AccountContext] = frozenset({AccountContext.CLUSTER, AccountContext.SVM})
    """Whose accounts may log in."""
    is_node_scoped: bool = False
    """Whether the node is in the node-scoped NDMP mode."""
    may_mix_families: bool = False
    """Whether data connections may have another address family than the
    control connection."""
    without_engines: frozenset[str] = frozenset()
    """Butypes that are not served here."""
    root_volume: str = ""
    """The node's root volume, ``/svm/volume``, which is never backed up;
    empty for none."""
    sight: Sight = EVERYTHING
    """What is seen by a session that has not chosen Cluster Aware Backup."""
    aware_sight: Sight = EVERYTHING
    """What is seen by one that has."""


ANYWHERE: Final = Place()
"""Where every control connection comes in if nobody provides placement."""


class Placement(Protocol):
    """Knows the interfaces of this node. No call blocks."""

    async def prepare(self) -> None:
        """Read what is remembered; called once, before any other call.

        :raises TapekitError: it cannot be read.
        """
        ...

    def place(self, host: str) -> Place:
        """The place of a control connection.

        :param host: our numeric address on it.
        :raises TapekitError: NDMP is not taken there.
        """
        ...

    @property
    def svms(self) -> Sequence[str]:
        """The storage virtual machines that interfaces belong to."""
        ...

    async def until_gone(self, place: Place) -> str:
        """Wait until the interface of a place is not at this node any more.

        :returns: why, as a sentence for the client; never, for a place
            without an interface.
        """
        ...


@hookspec
def tapekit_provide_placement() -> Placement | None:
    """Offer what knows the interfaces of this node.

    Called once. At most one plugin may answer; a second one stops the start
    with ``core.duplicate-provider``. With none, each control connection
    leads to all that its user may use.
    """
