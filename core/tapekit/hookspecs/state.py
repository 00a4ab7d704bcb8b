"""State: what is remembered over restarts.

A store holds small values under a namespace and a key. Whatever a call
acknowledged is durable; a plugin uses its own name as the namespace's
first part (``dump.dates``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tapekit.hookspecs._markers import hookspec

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["StateStore", "tapekit_provide_state_store"]


class StateStore(Protocol):
    """Durable values. Calls block for the time of a disk flush at most and
    may come from any thread.
    """

    def get(self, namespace: str, key: str) -> bytes | None:
        """The value, or ``None``."""
        ...

    def items(self, namespace: str, prefix: str = "") -> Mapping[str, bytes]:
        """All values whose key starts with ``prefix``, in key order."""
        ...

    def change(self, namespace: str, values: Mapping[str, bytes | None]) -> None:
        """Set values (``None`` removes), all or nothing, durable on return.

        :raises TapekitError: the store cannot be written; nothing changed.
        """
        ...


@hookspec
def tapekit_provide_state_store() -> StateStore | None:
    """Offer the stack's store.

    Called once. At most one plugin may answer; a second one stops the start
    with ``core.duplicate-provider``. With none the kernel remembers in
    memory, and says so.
    """
