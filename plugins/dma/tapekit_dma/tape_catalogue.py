"""The catalogue tape file behind a backup: what a lost catalogue is rebuilt from.

Its first record says in text what follows and how it is checked; then come
the backups and cartridges of the media set as JSON, and the file index of the
backup in front, compressed. The one rule: what does not agree with its
checksums is not a catalogue tape file.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import IO, TYPE_CHECKING, Final, NamedTuple, final

import msgspec

from tapekit_dma.label import LABEL_BYTES
from tapekit_dma.records import Cartridge, Entry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "RECORD_BYTES",
    "Head",
    "Section",
    "TapeCatalogue",
    "Unpacker",
    "decode_entries",
    "decode_head",
    "encode_catalogue",
    "pack",
]

RECORD_BYTES: Final = 32768
"""Of a record at most; the last one of a section may be shorter."""

_TITLE: Final = "TAPEKIT CATALOGUE 1"
_KEYS: Final = ("media-set", "entries", "index")
_LARGEST_ENTRIES: Final = 1 << 30


@final
class TapeCatalogue(msgspec.Struct, frozen=True, kw_only=True):
    """What was known of a media set when it was written."""

    media_set: str
    written_at: float
    entries: tuple[Entry, ...]
    """The good backups, the last of which is the one in front."""
    cartridges: tuple[Cartridge, ...]


@final
class Section(NamedTuple):
    """What the first record says of one of the sections behind it."""

    length: int
    """Bytes on tape; 0 for none."""
    sha256: str


@final
class Head(msgspec.Struct, frozen=True):
    """The first record."""

    media_set: str
    entries: Section
    index: Section


def pack(file: Path, packed: IO[bytes]) -> Section:
    """Compress a file index; ``packed`` is left at its end."""
    digest, length, packer = hashlib.sha256(), 0, zlib.compressobj()
    with file.open("rb") as opened:
        while True:
            raw = opened.read(RECORD_BYTES)
            data = packer.compress(raw) if raw else packer.flush()
            digest.update(data)
            length += packed.write(data)
            if not raw:
                return Section(length, digest.hexdigest())


def encode_catalogue(
    catalogue: TapeCatalogue, packed: IO[bytes], index: Section
) -> Iterator[bytes]:
    """The records of a catalogue tape file.

    :param packed: the compressed index, at its beginning; it is read as the
        records are taken.
    """
    entries = msgspec.json.encode(catalogue)
    section = Section(len(entries), hashlib.sha256(entries).hexdigest())
    values = (catalogue.media_set, *(f"{each.length} {each.sha256}" for each in (section, index)))
    lines = [f"{key}: {value}" for key, value in zip(_KEYS, values, strict=True)]
    yield "\n".join((_TITLE, *lines, "")).encode().ljust(LABEL_BYTES)
    for start in range(0, len(entries), RECORD_BYTES):
        yield entries[start : start + RECORD_BYTES]
    while record := packed.read(RECORD_BYTES):
        yield record


def decode_head(record: bytes) -> Head | None:
    """The first record that this is; ``None`` if it is something else."""
    try:
        title, *lines = record.decode().rstrip(" ").splitlines()
        pairs = [line.split(": ", 1) for line in lines]
        if title != _TITLE or tuple(pair[0] for pair in pairs) != _KEYS:
            return None
        media_set, entries, index = (pair[1] for pair in pairs)
        head = Head(media_set, _section(entries), _section(index))
    except (ValueError, IndexError):
        return None
    return head if head.entries.length <= _LARGEST_ENTRIES else None


def _section(text: str) -> Section:
    length, sha256 = text.split(" ")
    if not length.isdecimal():
        raise ValueError(length)
    return Section(int(length), sha256)


def decode_entries(data: bytes, section: Section) -> TapeCatalogue | None:
    """The backups and cartridges; ``None`` if they are damaged."""
    if len(data) != section.length or hashlib.sha256(data).hexdigest() != section.sha256:
        return None
    try:
        return msgspec.json.decode(data, type=TapeCatalogue)
    except msgspec.DecodeError:
        return None


@final
class Unpacker:
    """Makes a file index of what is read from tape."""

    def __init__(self, target: IO[bytes], section: Section) -> None:
        self._target: Final = target
        self._section: Final = section
        self._digest: Final = hashlib.sha256()
        self._unpacker: Final = zlib.decompressobj()
        self._taken = 0
        self._is_damaged = False

    @property
    def left(self) -> int:
        """Bytes still to come."""
        return self._section.length - self._taken

    def add(self, record: bytes) -> None:
        """Take in a record."""
        self._taken += len(record)
        self._digest.update(record)
        try:
            if not self._is_damaged:
                self._target.write(self._unpacker.decompress(record))
        except zlib.error:
            self._is_damaged = True

    @property
    def is_whole(self) -> bool:
        """Whether all has come and agrees with the checksum."""
        agrees = self._digest.hexdigest() == self._section.sha256
        return self.left == 0 and agrees and self._unpacker.eof and not self._is_damaged
