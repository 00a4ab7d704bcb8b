"""What a restore of a whole backup leaves behind for the next level.

An incremental dump says what has changed; to repeat a removal or a renaming
one has to know what was there under which number. So the names of a restore
are kept by its destination, in the state store, as the classic program keeps
them in a file of the destination. The one rule: what is kept is found only
when all of it has been written.
"""

from __future__ import annotations

import itertools
import struct
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple, final

import msgspec

from tapekit_dump.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tapekit.hookspecs.state import StateStore

__all__ = ["NAMESPACE", "PAGES_NAMESPACE", "KnownName", "Restored", "RestoreMemory"]

NAMESPACE: Final = "dump.restored"
PAGES_NAMESPACE: Final = "dump.restored-names"

_NAMES_PER_PAGE: Final = 8192
_QUICK: Final = 1
_NAME: Final = struct.Struct("<IIBH")


class KnownName(NamedTuple):
    """A name of the destination; names sort as restores need them."""

    number: int
    directory: int
    """The number of the directory that it is in."""
    name: bytes
    is_directory: bool


class Restored(msgspec.Struct, frozen=True):
    """What a destination holds."""

    date: int
    """The date of the dump that was restored to it last."""
    pages: int
    turn: int
    """Tells the pages of one restore from those of the one before."""
    bases: tuple[int, ...] = ()
    """The dates of the dumps that it builds on, the full one first."""
    under_way: int = 0
    """The date of an increment that has begun to change names and has not
    been applied to its end; 0 if there is none."""
    type_changes: int = 0
    """How often the volume's type had changed."""

    def holds(self, date: int) -> bool:
        """Whether everything of the dump of a date is in it."""
        return date == self.date or date in self.bases

    def bases_with(self, base_date: int) -> tuple[int, ...]:
        """The bases of an increment that builds on the dump of this date."""
        chain = (*self.bases, self.date)
        return chain[: chain.index(base_date) + 1]


@final
class RestoreMemory:
    """What is kept of one destination; for one thread.

    :param path: ``/vserver/volume[/path]``.
    :param type_changes: see :attr:`tapekit.hookspecs.storage.TreeTraits.type_changes`.
    """

    def __init__(self, state: StateStore, path: str, type_changes: int = 0) -> None:
        self._state: Final = state
        self._path: Final = path
        self._type_changes: Final = type_changes

    @property
    def restored(self) -> Restored | None:
        """What it holds, if a restore of a whole backup has told, and the
        volume's type has not changed since.
        """
        kept = self._kept
        return kept if kept is not None and kept.type_changes == self._type_changes else None

    @property
    def _kept(self) -> Restored | None:
        value = self._state.get(NAMESPACE, self._path)
        return None if value is None else msgspec.json.decode(value, type=Restored)

    def names(self, restored: Restored) -> Iterator[KnownName]:
        """All names, in their order.

        :raises TapekitError: they are not all there, or the store failed.
        """
        for index in range(restored.pages):
            page = self._state.get(PAGES_NAMESPACE, _page(self._path, restored.turn, index))
            try:
                yield from _unpack(zlib.decompress(page or b""))
            except (zlib.error, struct.error) as error:
                raise CATALOGUE.error(
                    "restore-memory-damaged", path=self._path, date=restored.date, reason=error
                ) from error

    def forget(self) -> None:
        """From now on the destination holds nothing known.

        :raises TapekitError: the store cannot be written.
        """
        restored = self._kept
        if restored is not None:
            self._state.change(NAMESPACE, {self._path: None})
            self._drop(restored)

    def begin(self, date: int) -> None:
        """The names of what the destination holds begin to follow the dump of
        this date, until :meth:`keep` is called.

        :raises TapekitError: the store cannot be written.
        """
        restored = self.restored
        assert restored is not None, "an increment needs a base"
        begun = msgspec.structs.replace(restored, under_way=date)
        self._state.change(NAMESPACE, {self._path: msgspec.json.encode(begun)})

    def keep(self, date: int, names: Iterable[KnownName], bases: tuple[int, ...] = ()) -> None:
        """The destination holds the dump of this date.

        :param names: all names, in their order.
        :param bases: the dates of the dumps that it builds on.
        :raises TapekitError: the store cannot be written.
        """
        before, pages, rest = self._kept, 0, iter(names)
        turn = 0 if before is None else before.turn + 1
        while page := list(itertools.islice(rest, _NAMES_PER_PAGE)):
            packed = zlib.compress(b"".join(map(_pack, page)), _QUICK)
            self._state.change(PAGES_NAMESPACE, {_page(self._path, turn, pages): packed})
            pages += 1
        restored = Restored(date, pages, turn, bases, type_changes=self._type_changes)
        self._state.change(NAMESPACE, {self._path: msgspec.json.encode(restored)})
        if before is not None:
            self._drop(before)

    def _drop(self, restored: Restored) -> None:
        keys = (_page(self._path, restored.turn, index) for index in range(restored.pages))
        self._state.change(PAGES_NAMESPACE, dict.fromkeys(keys))


def _page(path: str, turn: int, index: int) -> str:
    return f"{path}\n{turn}/{index}"


def _pack(known: KnownName) -> bytes:
    number, directory, name, is_directory = known
    return _NAME.pack(number, directory, is_directory, len(name)) + name


def _unpack(page: bytes) -> Iterator[KnownName]:
    at = 0
    while at < len(page):
        number, directory, is_directory, length = _NAME.unpack_from(page, at)
        at += _NAME.size
        yield KnownName(number, directory, page[at : at + length], bool(is_directory))
        at += length
