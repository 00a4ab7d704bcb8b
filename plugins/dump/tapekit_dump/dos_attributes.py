"""DOS attributes and the time of creation, as Samba keeps them.

The extended attribute ``user.DOSATTRIB`` begins with the attributes in hex
digits, which was all of it once; behind that stands one of five versions of
a structure (Samba, ``xattr.idl``). DOS names are nowhere: Samba makes them
from the long ones. The one rule: a field that its version does not declare
valid is not told.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

__all__ = ["DOS_ATTRIBUTES", "BadDosAttributes", "DosAttributes", "decode_dos", "encode_dos"]

DOS_ATTRIBUTES: Final = "user.DOSATTRIB"

_VERSION: Final = struct.Struct("<HH")
"""The version, and once more as the arm of a union."""

_LAYOUTS: Final = {
    1: struct.Struct("<I 20x q 8x"),
    2: struct.Struct("<4x I 20x q 16x"),
    3: struct.Struct("<I I 20x q 8x"),
    4: struct.Struct("<I I 8x q"),
    5: struct.Struct("<I I q"),
}
"""Valid fields (from version 3 on), attributes, time of creation. What else
there is (sizes, other times) the object itself tells."""

_HAS_ATTRIBUTES: Final = 0x01
_HAS_CREATION: Final = 0x10
_NEWEST: Final = 5
_HEX_LIMIT: Final = 64

_EPOCH_S: Final = 11_644_473_600
"""From 1601, when Windows begins to count, to 1970."""

_TICK_NS: Final = 100
_LETTERS: Final = ((0x01, "R"), (0x02, "H"), (0x04, "S"), (0x20, "A"), (0x800, "C"), (0x1000, "O"))
_WORD: Final = 0xFFFF_FFFF


class BadDosAttributes(ValueError):
    """A value that is no ``user.DOSATTRIB``, with what is wrong."""


class DosAttributes(NamedTuple):
    """What Windows shows of a file besides its permissions."""

    attributes: int | None
    """``FILE_ATTRIBUTE`` bits."""
    created_ns: int | None
    """Nanoseconds since 1970, in steps of 100."""

    @property
    def letters(self) -> str:
        """The attributes as ``attrib`` shows them: R read only, H hidden,
        S system, A archive, C compressed, O offline.
        """
        return "".join(letter for bit, letter in _LETTERS if (self.attributes or 0) & bit)


def decode_dos(value: bytes) -> DosAttributes:
    """Read the attribute's value.

    :raises BadDosAttributes: it is none, or of a version that is not known.
    """
    digits, end, _ = value.partition(b"\0")
    at = (len(digits) + len(end) + 1) & ~1
    if not end or at + _VERSION.size > len(value):
        return DosAttributes(_hex(digits), None)
    version, arm = _VERSION.unpack_from(value, at)
    layout = _LAYOUTS.get(version)
    if layout is None or arm != version:
        raise BadDosAttributes(f"it has version {version}, arm {arm}")
    at = (at + _VERSION.size + 3) & ~3
    if at + layout.size > len(value):
        raise BadDosAttributes(f"it is too short for version {version}")
    fields = layout.unpack_from(value, at)
    valid = _HAS_ATTRIBUTES | _HAS_CREATION if version < 3 else fields[0]
    attributes, created = fields[-2:]
    return DosAttributes(
        attributes if valid & _HAS_ATTRIBUTES else None,
        _unix_ns(created) if valid & _HAS_CREATION and created else None,
    )


def encode_dos(dos: DosAttributes) -> bytes:
    """The value of the newest version.

    :raises BadDosAttributes: the time is beyond what Windows can tell.
    """
    valid = _HAS_ATTRIBUTES if dos.attributes is not None else 0
    created = 0
    if dos.created_ns is not None:
        valid |= _HAS_CREATION
        created = dos.created_ns // _TICK_NS + _EPOCH_S * (10**9 // _TICK_NS)
    try:
        body = _LAYOUTS[_NEWEST].pack(valid, dos.attributes or 0, created)
    except struct.error:
        raise BadDosAttributes(f"no such time or attributes: {dos}") from None
    return b"\0\0" + _VERSION.pack(_NEWEST, _NEWEST) + b"\0\0" + body


def _hex(digits: bytes) -> int:
    """The oldest form: nothing but the attributes in hex digits."""
    try:
        found = int(digits[:_HEX_LIMIT], 16)
    except ValueError:
        raise BadDosAttributes("it does not begin with hex digits") from None
    if not 0 <= found <= _WORD:
        raise BadDosAttributes("its hex digits are too many")
    return found


def _unix_ns(ticks: int) -> int:
    return ticks * _TICK_NS - _EPOCH_S * 10**9
