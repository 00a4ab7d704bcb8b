"""Zstandard through the library that the host has, for drives that compress.

Nearly every Linux system has libzstd; calls let go of the interpreter while
they work. The one rule: what comes back is as long as the caller said that
it is, or it is an error.
"""

from __future__ import annotations

import ctypes
from ctypes import c_char, c_char_p, c_int, c_size_t, c_uint, c_ulonglong, c_void_p
from typing import Final, final

__all__ = ["ZstdError", "ZstdLibrary", "find_zstd"]

_NAMES: Final = ("libzstd.so.1", "libzstd.1.dylib")
_LEVEL_PARAMETER, _CHECKSUM_PARAMETER = 100, 201
_UNKNOWN_SIZES: Final = frozenset({(1 << 64) - 1, (1 << 64) - 2})

_FUNCTIONS: Final = {
    "ZSTD_createCCtx": (c_void_p, ()),
    "ZSTD_freeCCtx": (c_size_t, (c_void_p,)),
    "ZSTD_CCtx_setParameter": (c_size_t, (c_void_p, c_int, c_int)),
    "ZSTD_compress2": (c_size_t, (c_void_p, c_void_p, c_size_t, c_void_p, c_size_t)),
    "ZSTD_compressBound": (c_size_t, (c_size_t,)),
    "ZSTD_decompress": (c_size_t, (c_void_p, c_size_t, c_char_p, c_size_t)),
    "ZSTD_getFrameContentSize": (c_ulonglong, (c_char_p, c_size_t)),
    "ZSTD_isError": (c_uint, (c_size_t,)),
    "ZSTD_getErrorName": (c_char_p, (c_size_t,)),
}


class ZstdError(Exception):
    """The library refuses data; the text is its own."""


@final
class ZstdLibrary:
    """The functions of the library, for one thread at a time."""

    def __init__(self, library: ctypes.CDLL, level: int) -> None:
        """:param library: as :func:`find_zstd` prepares it.
        :raises ZstdError: it does not take the level.
        """
        self._library: Final = library
        self._context: Final = library.ZSTD_createCCtx()
        self._checked(library.ZSTD_CCtx_setParameter(self._context, _LEVEL_PARAMETER, level))
        self._checked(library.ZSTD_CCtx_setParameter(self._context, _CHECKSUM_PARAMETER, 1))

    def __del__(self) -> None:
        self._library.ZSTD_freeCCtx(self._context)

    def bound(self, length: int) -> int:
        """How long a frame of so many bytes is at most."""
        return int(self._library.ZSTD_compressBound(length))

    def compress(self, data: bytearray, length: int, into: bytearray) -> int:
        """Make the first bytes of a buffer a frame with a checksum; its length.

        :raises ZstdError: ``into`` is too short.
        """
        source = (c_char * len(data)).from_buffer(data)
        target = (c_char * len(into)).from_buffer(into)
        return self._checked(
            self._library.ZSTD_compress2(self._context, target, len(into), source, length)
        )

    def content_size(self, frame: bytes) -> int:
        """How many bytes a frame says that it holds.

        :raises ZstdError: it does not say, or is none.
        """
        size = int(self._library.ZSTD_getFrameContentSize(frame, len(frame)))
        if size in _UNKNOWN_SIZES:
            raise ZstdError("it is no frame that tells its size")
        return size

    def decompress(self, frame: bytes, size: int) -> bytearray:
        """The bytes of a frame, whose number the caller has judged.

        :raises ZstdError: it is damaged.
        """
        data = bytearray(size)
        target = (c_char * size).from_buffer(data)
        found = self._checked(self._library.ZSTD_decompress(target, size, frame, len(frame)))
        if found != size:
            raise ZstdError(f"it holds {found} bytes instead of {size}")
        return data

    def _checked(self, result: int) -> int:
        if self._library.ZSTD_isError(result):
            raise ZstdError(self._library.ZSTD_getErrorName(result).decode("ascii", "replace"))
        return result


def find_zstd(level: int = 1) -> ZstdLibrary | None:
    """The host's library; ``None`` if there is none that will do."""
    for name in _NAMES:
        try:
            library = ctypes.CDLL(name)
            for function, (result, arguments) in _FUNCTIONS.items():
                found = getattr(library, function)
                found.restype, found.argtypes = result, arguments
        except (OSError, AttributeError):
            continue  # It is not there, or too old.
        return ZstdLibrary(library, level)
    return None
