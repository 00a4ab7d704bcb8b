"""FH posts: names and attributes of what was backed up (NDMP v4, 0x7xx).

A backup uses one of two styles: full paths (FH_ADD_FILE), or names in their
directories and attributes by node (FH_ADD_DIR, FH_ADD_NODE). Servers send
thousands of entries; :mod:`tapekit_ndmp_v4.file_history` encodes those and
:mod:`tapekit_ndmp_v4.history_decoding` reads them, to which end they are made
by position and are nothing for the garbage collector to look at.
"""

from typing import Annotated, TypeAlias

from msgspec import Meta

from tapekit_ndmp_v4.numbers import FsType
from tapekit_ndmp_v4.wire import U32, U64, FileTypeCode, FsTypeCode, Message, Text

__all__ = [
    "FhAddDirPost",
    "FhAddFilePost",
    "FhAddNodePost",
    "FhDir",
    "FhFile",
    "FhNode",
    "FileName",
    "FileStat",
    "NtFileName",
    "OtherFileName",
    "UnixFileName",
]

_VIEWS = 16
"""Views of one file; there are two, UNIX and NT."""
_MANY = 65536
"""Entries of one post; the record's own limit is reached before."""


class UnixFileName(Message, tag=FsType.UNIX.value, kw_only=False, gc=False):
    """A name or path as UNIX sees it."""

    unix_name: Text


class NtFileName(Message, tag=FsType.NT.value):
    """A name or path as Windows sees it, long and short."""

    nt_path: Text
    dos_path: Text


class OtherFileName(Message, tag=FsType.OTHER.value):
    """A name or path as some other system sees it."""

    other_name: Text


FileName: TypeAlias = UnixFileName | NtFileName | OtherFileName


class FileStat(Message, kw_only=False, gc=False):
    """A file's attributes; ``unsupported`` are :class:`StatUnsupported`
    bits, times are Unix seconds, ``fattr`` UNIX mode bits.
    """

    unsupported: U32
    fs_type: FsTypeCode
    ftype: FileTypeCode
    mtime: U32
    atime: U32
    ctime: U32
    owner: U32
    group: U32
    fattr: U32
    size: U64
    links: U32


class FhFile(Message, kw_only=False, gc=False):
    """One file by its path; ``fh_info`` is its position in the image."""

    names: Annotated[tuple[FileName, ...], Meta(max_length=_VIEWS)]
    stats: Annotated[tuple[FileStat, ...], Meta(max_length=_VIEWS)]
    node: U64
    fh_info: U64


class FhDir(Message, kw_only=False, gc=False):
    """One name in a directory; the root's parent is the root."""

    names: Annotated[tuple[FileName, ...], Meta(max_length=_VIEWS)]
    node: U64
    parent: U64


class FhNode(Message, kw_only=False, gc=False):
    """One object's attributes; ``fh_info`` is its position in the image."""

    stats: Annotated[tuple[FileStat, ...], Meta(max_length=_VIEWS)]
    node: U64
    fh_info: U64


class FhAddFilePost(Message):
    """Files by path; FH_ADD_FILE."""

    files: Annotated[tuple[FhFile, ...], Meta(max_length=_MANY)]


class FhAddDirPost(Message):
    """Names in directories, before their nodes; FH_ADD_DIR."""

    dirs: Annotated[tuple[FhDir, ...], Meta(max_length=_MANY)]


class FhAddNodePost(Message):
    """Attributes by node; FH_ADD_NODE."""

    nodes: Annotated[tuple[FhNode, ...], Meta(max_length=_MANY)]
