"""The label of a cartridge: its first tape file, one record of text.

A label can be read with ``dd`` and by anybody; what follows its filemark are
tape files with nothing but the records of backups. The one rule: a record is
a label only if all of it can be understood.
"""

from __future__ import annotations

from typing import Final, final

import msgspec

__all__ = ["LABEL_BYTES", "Label", "decode_label", "encode_label"]

LABEL_BYTES: Final = 4096
"""Of the record; blanks fill it up."""

_TITLE: Final = "TAPEKIT MEDIA LABEL 1"
_KEYS: Final = ("barcode", "media-set", "label", "written")


@final
class Label(msgspec.Struct, frozen=True, kw_only=True):
    """Who a cartridge is."""

    barcode: str
    media_set: str
    identifier: str
    """Random, new each time that a cartridge is labelled."""
    written_at: int
    """Seconds since 1970."""


def encode_label(label: Label) -> bytes:
    """The record of a label."""
    values = (label.barcode, label.media_set, label.identifier, str(label.written_at))
    lines = [f"{key}: {value}" for key, value in zip(_KEYS, values, strict=True)]
    return "\n".join((_TITLE, *lines, "")).encode().ljust(LABEL_BYTES)


def decode_label(record: bytes) -> Label | None:
    """The label that a record is; ``None`` if it is something else."""
    try:
        title, *lines = record.decode().rstrip(" ").splitlines()
        pairs = [line.split(": ", 1) for line in lines]
        if title != _TITLE or tuple(pair[0] for pair in pairs) != _KEYS:
            return None
        barcode, media_set, identifier, written = (pair[1] for pair in pairs)
        return Label(
            barcode=barcode, media_set=media_set, identifier=identifier, written_at=int(written)
        )
    except (ValueError, IndexError):
        return None
