"""A state store that forgets: what a stack has when no plugin keeps state."""

from __future__ import annotations

import threading  # noqa: TID251 - a store is called from any thread
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MemoryStateStore"]


@final
class MemoryStateStore:
    """Values until the process ends; see ``tapekit.hookspecs.state``."""

    def __init__(self) -> None:
        self._lock: Final = threading.Lock()
        self._values: Final[dict[str, dict[str, bytes]]] = {}

    def get(self, namespace: str, key: str) -> bytes | None:
        """The value, or ``None``."""
        with self._lock:
            return self._values.get(namespace, {}).get(key)

    def items(self, namespace: str, prefix: str = "") -> Mapping[str, bytes]:
        """All values whose key starts with ``prefix``, in key order."""
        with self._lock:
            values = self._values.get(namespace, {})
            return {key: values[key] for key in sorted(values) if key.startswith(prefix)}

    def change(self, namespace: str, values: Mapping[str, bytes | None]) -> None:
        """Set values (``None`` removes), all at once."""
        with self._lock:
            table = self._values.setdefault(namespace, {})
            for key, value in values.items():
                if value is None:
                    table.pop(key, None)
                else:
                    table[key] = value
