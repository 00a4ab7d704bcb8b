"""What is remembered of Snapshot copies over restarts.

Two tables in the stack's state: who holds which copy, and when each copy
was begun. A record of a holder is no lock, it tells of one: what a crash
leaves is a record whose lock nobody has. The one rule: a record is durable
before the copy that it tells of is begun.
"""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Final, final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tapekit.hookspecs.state import StateStore

__all__ = ["LockRecord", "LockRecords"]

_LOG: Final = logging.getLogger("tapekit.volumes")

_LOCKS: Final = "volumes.locks"
_TIMES: Final = "volumes.snapshots"


class LockRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who holds a Snapshot copy."""

    volume: str
    """``/vserver/volume``."""
    snapshot: str
    holder: str
    temporary: bool
    """Whether the copy was made for this holder and goes with it."""
    method: str
    """The name of the Snapshot method."""
    folder: str
    """The folder that the copy is in, absolute."""
    lasting: bool = False
    """Whether it holds the copy by itself, without a lock of the operating
    system, until somebody removes it."""


@final
class LockRecords:
    """The records in a state store, each holder under a key of its own."""

    def __init__(self, state: StateStore) -> None:
        self._state: Final = state

    def add(self, record: LockRecord) -> str:
        """Remember a holder; the key to :meth:`remove` it.

        :raises TapekitError: the store cannot be written.
        """
        # Other processes, and other stacks in this one, may share the store.
        key = f"{_copy_key(record.volume, record.snapshot)}#{secrets.token_hex(8)}"
        self._state.change(_LOCKS, {key: msgspec.json.encode(record)})
        return key

    def remove(self, key: str) -> None:
        """Forget a holder.

        :raises TapekitError: the store cannot be written.
        """
        self._state.change(_LOCKS, {key: None})

    def remove_all(self, volume: str, snapshot: str) -> None:
        """Forget all holders of a copy that nobody holds any more.

        :raises TapekitError: the store cannot be written.
        """
        stale = self._state.items(_LOCKS, _copy_key(volume, snapshot) + "#")
        if stale:
            self._state.change(_LOCKS, dict.fromkeys(stale))

    def of_copy(self, volume: str, snapshot: str) -> Mapping[str, LockRecord]:
        """The records of one copy by key."""
        return _decoded(self._state.items(_LOCKS, _copy_key(volume, snapshot) + "#"))

    def lasting(self, volume: str, snapshot: str) -> Mapping[str, LockRecord]:
        """The lasting records of one copy by key."""
        found = self.of_copy(volume, snapshot)
        return {key: record for key, record in found.items() if record.lasting}

    def every(self) -> Mapping[str, LockRecord]:
        """All records by key."""
        return _decoded(self._state.items(_LOCKS))

    def holders(self, volume: str, snapshot: str) -> tuple[str, ...]:
        """Who holds a copy, as far as is known."""
        return tuple(record.holder for record in self.of_copy(volume, snapshot).values())

    def begun(self, volume: str, snapshot: str, moment_s: int) -> None:
        """Remember when a copy was begun, in seconds since 1970.

        :raises TapekitError: the store cannot be written.
        """
        self._state.change(_TIMES, {_copy_key(volume, snapshot): b"%d" % moment_s})

    def begun_at_s(self, volume: str, snapshot: str) -> int | None:
        """When a copy was begun; ``None`` if nobody remembers."""
        value = self._state.get(_TIMES, _copy_key(volume, snapshot))
        return None if value is None else int(value)

    def forget_copy(self, volume: str, snapshot: str) -> None:
        """Forget when a copy was begun, since it is gone.

        :raises TapekitError: the store cannot be written.
        """
        self._state.change(_TIMES, {_copy_key(volume, snapshot): None})


def _copy_key(volume: str, snapshot: str) -> str:
    return f"{volume}/{snapshot}"


def _decoded(values: Mapping[str, bytes]) -> Mapping[str, LockRecord]:
    records = {}
    for key, value in values.items():
        try:
            records[key] = msgspec.json.decode(value, type=LockRecord)
        except msgspec.DecodeError as error:
            # Another version's, perhaps; it must not keep this one from starting.
            _LOG.warning("%s %s: not a record of a lock: %s", _LOCKS, key, error)
    return records
