"""The loops that the dump engine takes instead of its own.

Each call prepares arrays for a directory's files and lets the library work
on them. The one rule: what an array points to lives as long as the array is
in use, so each object keeps what it has handed out.
"""

from __future__ import annotations

import ctypes
from array import array
from typing import TYPE_CHECKING, Final, final

from tapekit_dump.file_fetching import FETCHED_BYTES, Fetched
from tapekit_dump.recover_attributes import Attributes
from tapekit_dump.small_files import Stop
from tapekit_dump_native.library import Fetching, Making, Node, Reading

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit_dump.small_files import ReadingSite, SmallFile

__all__ = ["NativeLoops", "NativeReading"]


@final
class NativeLoops:
    """A :class:`tapekit_dump.small_files.SmallFileLoops` in C."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library: Final = library

    def reading(
        self,
        site: ReadingSite,
        directory: int,
        names: Sequence[bytes],
        numbers: Sequence[int],
        *,
        flags: int,
        with_attributes: bool,
    ) -> NativeReading:
        """See :class:`SmallFileLoops`."""
        call = Reading(
            constant=_address(site.template.constant),
            count=len(names),
            small=site.small,
            sum=site.template.rest_of_sum & 0xFFFF_FFFF,
            directory=directory,
            flags=flags,
            with_attributes=with_attributes,
        )
        return NativeReading(self._library, site, call, names, numbers)

    def fetch(self, directory: int, names: Sequence[bytes]) -> Fetched:
        """See :class:`SmallFileLoops`."""
        joined = b"\0".join(names)
        call = Fetching(
            name=_address(joined), count=len(names), most=FETCHED_BYTES, directory=directory
        )
        self._library.tapekit_fetch_files(call)
        return Fetched(call.blocks, call.contents, call.length)

    def make(
        self, directory: int, files: Sequence[SmallFile], *, old_format: bool, chmod_for: int
    ) -> int:
        """See :class:`SmallFileLoops`."""
        names, contents, attributes = [], [], array("q")
        for place, header, content, sets in files:
            mode, inode_flags, *rest = Attributes.of(header, old_format=old_format)
            if sets or inode_flags:
                break
            names.append(place.name)
            contents.append(content)
            attributes.extend((len(content), mode, *rest))
        texts = ctypes.c_char_p * len(names)
        name_array, content_array = texts(*names), texts(*contents)
        call = Making(
            names=ctypes.addressof(name_array),
            contents=ctypes.addressof(content_array),
            attributes=attributes.buffer_info()[0],
            count=len(names),
            directory=directory,
            chmod_for=chmod_for,
        )
        done: int = self._library.tapekit_make_files(call)
        return done


@final
class NativeReading:
    """A :class:`tapekit_dump.small_files.SmallFileReading` in C."""

    def __init__(
        self,
        library: ctypes.CDLL,
        site: ReadingSite,
        call: Reading,
        names: Sequence[bytes],
        numbers: Sequence[int],
    ) -> None:
        self._read: Final = library.tapekit_read_files
        self._site: Final = site
        self._call: Final = call
        self._names: Final = names
        self._joined: Final = b"\0".join(names)
        self._numbers: Final = array("I", numbers)
        self._nodes: Final = None if site.nodes is None else (Node * len(names))()
        call.name = _address(self._joined)
        call.numbers = self._numbers.buffer_info()[0]
        if self._nodes is not None:
            call.nodes = ctypes.addressof(self._nodes)

    @property
    def taken(self) -> int:
        """See :class:`SmallFileReading`."""
        taken: int = self._call.taken
        return taken

    @property
    def descriptor(self) -> int:
        """See :class:`SmallFileReading`."""
        descriptor: int = self._call.descriptor
        return descriptor

    @property
    def flags(self) -> int:
        """See :class:`SmallFileReading`."""
        flags: int = self._call.flags
        return flags

    @flags.setter
    def flags(self, flags: int) -> None:
        self._call.flags = flags

    def skip(self) -> None:
        """See :class:`SmallFileReading`."""
        call = self._call
        call.name += len(self._names[call.taken]) + 1
        call.taken += 1

    def append(self) -> Stop:
        """See :class:`SmallFileReading`."""
        call, writer, before = self._call, self._site.writer, self._call.taken
        buffer = writer.buffer
        pinned = ctypes.c_char.from_buffer(buffer)
        call.buffer, call.room, call.end = ctypes.addressof(pinned), len(buffer), writer.end
        call.base = writer.position - writer.end
        stop = Stop(self._read(call))
        del pinned
        writer.end = call.end
        if self._nodes is not None and self._site.nodes is not None:
            size = ctypes.sizeof(Node)
            entries = memoryview(self._nodes).cast("B")[before * size : call.taken * size]
            self._site.nodes.frombytes(entries)
        return stop


def _address(data: bytes) -> int | None:
    return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value
