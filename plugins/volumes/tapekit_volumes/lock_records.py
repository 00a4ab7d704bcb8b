"""What is remembered of Snapshot copies over restarts.

Two tables in the stack's state: who holds which copy, and which copy each
one is, and when it was begun. A record of a holder is no lock, it tells of one: what a crash
leaves is a record whose lock nobody has. The one rule: a record is durable
before the copy that it tells of is begun.
"""

from __future__ import annotations

import logging
import secrets
import uuid
from typing import TYPE_CHECKING, Final, final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from tapekit.hookspecs.state import StateStore

__all__ = ["CopyRecord", "LockRecord", "LockRecords", "copy_record"]

_LOG: Final = logging.getLogger("tapekit.volumes")

_LOCKS: Final = "volumes.locks"
_COPIES: Final = "volumes.snapshots"
_FOREIGN: Final = uuid.UUID("5a3f8c62-1d0e-4b0c-9a57-8f1f6d2c7be4")
"""The name space of identifiers for copies that nobody gave one."""


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


class CopyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A Snapshot copy, as its maker knew it."""

    begun_at_s: int
    """Nothing that has changed later is in the copy; seconds since 1970."""
    created_at_s: int
    """The time that its data stands for; earlier if it came from an image."""
    identifier: str


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

    def end_lasting(self, key: str, record: LockRecord) -> None:
        """Make a lasting holder one that is gone, like those that a crash
        leaves.

        :raises TapekitError: the store cannot be written.
        """
        gone = msgspec.structs.replace(record, lasting=False)
        self._state.change(_LOCKS, {key: msgspec.json.encode(gone)})

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

    def lasting_of_volume(self, volume: str) -> Collection[LockRecord]:
        """The lasting records of all copies of a volume."""
        found = _decoded(self._state.items(_LOCKS, f"{volume}/")).values()
        return [record for record in found if record.lasting]

    def every(self) -> Mapping[str, LockRecord]:
        """All records by key."""
        return _decoded(self._state.items(_LOCKS))

    def holders(self, volume: str, snapshot: str) -> tuple[str, ...]:
        """Who holds a copy, as far as is known."""
        return tuple(record.holder for record in self.of_copy(volume, snapshot).values())

    def note_copy(self, volume: str, snapshot: str, record: CopyRecord) -> None:
        """Remember which copy one is, before it is begun.

        :raises TapekitError: the store cannot be written.
        """
        value = msgspec.json.encode(record)
        self._state.change(_COPIES, {_copy_key(volume, snapshot): value})

    def copy(self, volume: str, snapshot: str) -> CopyRecord | None:
        """What is remembered of a copy; ``None`` if nobody remembers it."""
        key = _copy_key(volume, snapshot)
        value = self._state.get(_COPIES, key)
        if value is None:
            return None
        known = msgspec.json.decode(value, type=int | CopyRecord)
        if isinstance(known, CopyRecord):
            return known
        # Earlier versions remembered the time alone.
        return copy_record(volume, snapshot, known)

    def forget_volume(self, volume: str) -> None:
        """Forget all copies of a volume that is none any more, and who holds them.

        :raises TapekitError: the store cannot be written.
        """
        for table in (_COPIES, _LOCKS):
            self._state.change(table, dict.fromkeys(self._state.items(table, f"{volume}/")))

    def move(self, source: str, volume: str, folder: Path) -> None:
        """Have a volume the copies that another one had, which lie in ``folder``,
        and no others. Lasting holders of copies go along. After a crash the same
        is done again.

        All copies get other identifiers: images name objects by inode numbers,
        so that none that was made before the move can be followed by one that
        is made after it.

        :raises TapekitError: the store cannot be written.
        """
        copies = self._state.items(_COPIES, f"{source}/")
        if copies:
            changes: dict[str, bytes | None] = dict.fromkeys(
                (*self._state.items(_COPIES, f"{volume}/"), *copies)
            )
            for key, value in copies.items():
                changes[volume + key.removeprefix(source)] = _renewed(volume, value)
            self._state.change(_COPIES, changes)
        locks: dict[str, bytes | None] = dict.fromkeys(self._state.items(_LOCKS, f"{source}/"))
        for key, record in _decoded(self._state.items(_LOCKS, f"{volume}/")).items():
            if record.lasting:
                moved = msgspec.structs.replace(record, folder=str(folder))
                locks[key] = msgspec.json.encode(moved)
        self._state.change(_LOCKS, locks)

    def forget_copy(self, volume: str, snapshot: str) -> None:
        """Forget a copy, since it is gone.

        :raises TapekitError: the store cannot be written.
        """
        self._state.change(_COPIES, {_copy_key(volume, snapshot): None})


def _renewed(volume: str, value: bytes) -> bytes:
    """The record of a copy with an identifier that no other one has."""
    known = msgspec.json.decode(value, type=int | CopyRecord)
    record = known if isinstance(known, CopyRecord) else copy_record(volume, "", known)
    return msgspec.json.encode(msgspec.structs.replace(record, identifier=str(uuid.uuid4())))


def copy_record(volume: str, snapshot: str, moment_s: int) -> CopyRecord:
    """The record of a copy that was made without one, always the same."""
    name = f"{volume}/{snapshot}@{moment_s}"
    identifier = str(uuid.uuid5(_FOREIGN, name))
    return CopyRecord(begun_at_s=moment_s, created_at_s=moment_s, identifier=identifier)


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
