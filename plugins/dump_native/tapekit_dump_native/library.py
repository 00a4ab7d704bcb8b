"""The compiled library: finding it, and its structures as ctypes has them.

``loops.c`` is compiled when the package is built, if there is a C compiler,
and lies beside this module then. Nothing of Python is linked into it. The one
rule: a library whose structures are not of our sizes is not used.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_int32, c_int64, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Final

from tapekit_dump_native.errors import CATALOGUE

__all__ = ["LIBRARY", "Fetching", "Making", "Node", "Reading", "is_built", "load"]

LIBRARY: Final = Path(__file__).with_name("libloops.so")


class Node(ctypes.Structure):
    """``struct node``, in the order of ``NodeEntry``."""

    _fields_ = (
        ("number", c_int64),
        ("mode", c_int64),
        ("size", c_int64),
        ("mtime_s", c_int64),
        ("atime_s", c_int64),
        ("ctime_s", c_int64),
        ("uid", c_int64),
        ("gid", c_int64),
        ("links", c_int64),
        ("position", c_int64),
    )


class Reading(ctypes.Structure):
    """``struct reading``."""

    _fields_ = (
        ("name", c_void_p),
        ("numbers", c_void_p),
        ("buffer", c_void_p),
        ("constant", c_void_p),
        ("nodes", c_void_p),
        ("count", c_uint64),
        ("taken", c_uint64),
        ("room", c_uint64),
        ("end", c_uint64),
        ("base", c_uint64),
        ("small", c_uint64),
        ("sum", c_uint32),
        ("directory", c_int32),
        ("flags", c_int32),
        ("with_attributes", c_int32),
        ("descriptor", c_int32),
        ("reserved", c_int32),
    )


class Making(ctypes.Structure):
    """``struct making``."""

    _fields_ = (
        ("names", c_void_p),
        ("contents", c_void_p),
        ("attributes", c_void_p),
        ("count", c_uint64),
        ("directory", c_int32),
        ("chmod_for", c_uint32),
    )


class Fetching(ctypes.Structure):
    """``struct fetching``."""

    _fields_ = (
        ("name", c_void_p),
        ("count", c_uint64),
        ("most", c_uint64),
        ("blocks", c_uint64),
        ("contents", c_uint64),
        ("length", c_uint64),
        ("directory", c_int32),
        ("reserved", c_int32),
    )


_STRUCTURES: Final = {"reading": Reading, "making": Making, "fetching": Fetching}


def is_built() -> bool:
    """Whether there is a library."""
    return LIBRARY.exists()


def load() -> ctypes.CDLL:
    """Load the library; its calls leave the interpreter to other threads.

    :raises TapekitError: there is none, or it is of another version.
    """
    if not is_built():
        raise CATALOGUE.error("not-built", path=LIBRARY)
    try:
        library = ctypes.CDLL(str(LIBRARY))
        sizes = {name: getattr(library, f"tapekit_{name}_bytes") for name in _STRUCTURES}
        read, make = library.tapekit_read_files, library.tapekit_make_files
        fetch = library.tapekit_fetch_files
    except (OSError, AttributeError) as error:
        raise CATALOGUE.error("not-loaded", path=LIBRARY, reason=error) from error
    for name, size in sizes.items():
        size.restype, size.argtypes = c_uint64, ()
        if size() != ctypes.sizeof(_STRUCTURES[name]):
            reason = "its structures are others"
            raise CATALOGUE.error("not-loaded", path=LIBRARY, reason=reason)
    read.restype, read.argtypes = ctypes.c_int, (POINTER(Reading),)
    make.restype, make.argtypes = c_uint64, (POINTER(Making),)
    fetch.restype, fetch.argtypes = None, (POINTER(Fetching),)
    return library
