"""Files that no backup may have for now.

A file that clients may not use, since it is being restored by other means,
and a LUN whose content is not consistent are left out of backups until they
are released; then the next backup has them, whatever its level. They are kept in
the stack's state; what a restore of this server is writing is kept in memory,
so that nothing outlives the restore. The one rule: files are known by their
paths, and a file under another name is another file.
"""

from __future__ import annotations

import threading  # noqa: TID251 - restores, backups and administrators meet here
from typing import TYPE_CHECKING, Final, final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tapekit.hookspecs.state import StateStore

__all__ = ["BEING_RESTORED", "INCONSISTENT", "RESTRICTED", "WithheldFiles"]

RESTRICTED: Final = "clients are kept from it"
INCONSISTENT: Final = "it is an inconsistent LUN"
BEING_RESTORED: Final = "it is being restored"

_NAMESPACE: Final = "volumes.withheld"


@final
class WithheldFiles:
    """What is left out of backups, for all volumes."""

    def __init__(self, state: StateStore) -> None:
        self._state: Final = state
        self._lock: Final = threading.Lock()
        self._restored: Final[dict[object, set[tuple[str, bytes]]]] = {}
        """What each restore is writing."""

    def of_volume(self, volume: str) -> Mapping[bytes, str]:
        """Paths below the volume's top, and why they are left out.

        :raises TapekitError: the store cannot be read.
        """
        begin = f"{volume}/"
        kept = {
            _to_bytes(key.removeprefix(begin)): ", and ".join(_reasons(value))
            for key, value in self._state.items(_NAMESPACE, begin).items()
        }
        with self._lock:
            restored = [path for paths in self._restored.values() for path in paths]
        for name, path in restored:
            if name == volume:
                kept.setdefault(path, BEING_RESTORED)
        return kept

    def hold_for(self, restore: object, volume: str, path: bytes) -> None:
        """Leave a file out until its restore is over."""
        with self._lock:
            self._restored.setdefault(restore, set()).add((volume, path))

    def let_go(self, restore: object, volume: str, path: bytes) -> None:
        """Leave a file out no longer for this restore."""
        with self._lock:
            self._restored.get(restore, set()).discard((volume, path))

    def end(self, restore: object) -> None:
        """Let go of everything that was held for a restore."""
        with self._lock:
            self._restored.pop(restore, None)

    def withhold(self, volume: str, path: bytes, reason: str) -> None:
        """Leave a file out from now on.

        :raises TapekitError: the store cannot be written.
        """
        with self._lock:
            self._keep(volume, path, self._reasons_of(volume, path) | {reason})

    def release(self, volume: str, path: bytes, reason: str) -> bool:
        """Leave a file out no longer for this reason; whether it was.

        :raises TapekitError: the store cannot be written.
        """
        with self._lock:
            reasons = self._reasons_of(volume, path)
            if reason not in reasons:
                return False
            self._keep(volume, path, reasons - {reason})
            return True

    def _reasons_of(self, volume: str, path: bytes) -> set[str]:
        value = self._state.get(_NAMESPACE, _key(volume, path))
        return set() if value is None else set(_reasons(value))

    def _keep(self, volume: str, path: bytes, reasons: set[str]) -> None:
        value = msgspec.json.encode(sorted(reasons)) if reasons else None
        self._state.change(_NAMESPACE, {_key(volume, path): value})


def _reasons(value: bytes) -> list[str]:
    return msgspec.json.decode(value, type=list[str])


def _key(volume: str, path: bytes) -> str:
    # Names of any bytes, as text that every store takes.
    return f"{volume}/{path.decode('latin-1')}"


def _to_bytes(text: str) -> bytes:
    return text.encode("latin-1")
