"""Reads an image from a stream: chunks in order, and the records in them.

Every chunk is looked at before anything in it is believed: that it is one,
that it is whole, that it belongs to this image and comes next. Tapes end
anywhere in a chunk, so where something else comes, the next chunk's header is
looked for, which tells whether it is the tape that is wrong. The one rule:
the end of an image is its last chunk; a stream that ends before is damaged.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, final

from tapekit.errors import TapekitError
from tapekit.streams import EndOfStream
from tapekit_smtape.errors import CATALOGUE
from tapekit_smtape.format_chunks import (
    HEADER_BYTES,
    LONGEST_PAYLOAD,
    MAGIC,
    ChunkKind,
    check_payload,
    parse_chunk_header,
)
from tapekit_smtape.format_header import decode_header
from tapekit_smtape.format_records import parse_records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tapekit.streams import StreamReader
    from tapekit_smtape.format_chunks import Chunk
    from tapekit_smtape.format_header import ImageHeader
    from tapekit_smtape.format_records import Record

__all__ = ["ImageReader"]

_LOOK_AHEAD: Final = 2 * (HEADER_BYTES + LONGEST_PAYLOAD)
"""Bytes in which another chunk begins, wherever one is cut."""
_AT_ONCE: Final = 256 * 1024


@final
class ImageReader:
    """One image; :meth:`header` first, then :meth:`records`, each once."""

    def __init__(self, stream: StreamReader) -> None:
        self._stream: Final = stream
        self._first: Chunk | None = None
        self._sequence = 0

    @property
    def set_id(self) -> bytes:
        """The backup set that the image belongs to, once its header was read."""
        assert self._first is not None
        return self._first.set_id

    @property
    def stamp_ns(self) -> int:
        """When the backup began, in ns since 1970, once the header was read."""
        assert self._first is not None
        return self._first.stamp_ns

    def header(self) -> ImageHeader:
        """Read the image header, the first chunk.

        :raises TapekitError: the stream does not begin with one.
        """
        try:
            head = bytes(self._take(HEADER_BYTES))
        except EndOfStream as end:
            raise CATALOGUE.error("failed-to-initialize-restore-stream") from end
        if not head.startswith(MAGIC):
            follows = self._look_ahead(head)
            if follows is not None and follows.sequence:
                raise CATALOGUE.error("tapes-out-of-order")
            raise CATALOGUE.error("invalid-input-tape")
        chunk = parse_chunk_header(head)
        if chunk.sequence:
            raise CATALOGUE.error("tapes-out-of-order")
        payload = self._payload(chunk)
        if chunk.kind is not ChunkKind.IMAGE_HEADER:
            raise CATALOGUE.error("image-header-missing-or-corrupted")
        self._first, self._sequence = chunk, 1
        return decode_header(payload)

    def records(self) -> Iterator[Record]:
        """The records, to the end of the image; data are valid until the next.

        :raises TapekitError: the stream is damaged, ends, or goes on with
            another image.
        """
        while True:
            chunk = self._next_chunk()
            payload = self._payload(chunk, self._misfit)
            if chunk.kind is ChunkKind.IMAGE_END:
                return
            if chunk.kind is not ChunkKind.RECORDS:
                raise CATALOGUE.error("chunks-out-of-order")
            yield from parse_records(payload)

    def _next_chunk(self) -> Chunk:
        try:
            head = bytes(self._take(HEADER_BYTES))
        except EndOfStream as end:
            raise self._ends_early() from end
        try:
            chunk = parse_chunk_header(head)
        except TapekitError as error:
            self._misfit(head)
            raise error from None
        self._require_next(chunk)
        self._sequence += 1
        return chunk

    def _require_next(self, chunk: Chunk) -> None:
        """Need the chunk that comes next in this image.

        :raises TapekitError: it is another one.
        """
        first = self._first
        assert first is not None
        if chunk.set_id != first.set_id:
            raise CATALOGUE.error("mismatch-in-backup-set-id")
        if chunk.stamp_ns != first.stamp_ns:
            raise CATALOGUE.error("mismatch-in-backup-time-stamp")
        if chunk.sequence != self._sequence:
            raise CATALOGUE.error("chunks-out-of-order")

    def _payload(
        self, chunk: Chunk, explain: Callable[[memoryview], None] | None = None
    ) -> memoryview:
        """The payload of a chunk.

        :param explain: raises what is behind a payload that is not right,
            if that can be told.
        """
        try:
            payload = self._take(chunk.length)
        except EndOfStream as end:
            raise self._ends_early() from end
        try:
            check_payload(chunk, payload)
        except TapekitError:
            if explain is not None:
                explain(payload)
            raise
        return payload

    def _misfit(self, seen: bytes | memoryview) -> None:
        """Tell whether what was read belongs to another place, or to another
        image.

        :raises TapekitError: it does.
        """
        follows = self._look_ahead(seen)
        if follows is not None:
            self._require_next(follows)

    def _look_ahead(self, seen: bytes | memoryview) -> Chunk | None:
        """The next chunk's header in what was read, or behind it."""
        looked_at = bytes(seen)
        try:
            while True:
                found = _first_header(looked_at)
                if found is not None or len(looked_at) > _LOOK_AHEAD:
                    return found
                looked_at += self._take(_AT_ONCE)
        except (EndOfStream, TapekitError):
            return None

    def _take(self, count: int) -> memoryview:
        try:
            return self._stream.take(count)
        except OSError as error:
            reason = error.strerror or str(error)
            raise CATALOGUE.error("failed-to-read-backup-image", reason=reason) from error

    def _ends_early(self) -> TapekitError:
        return CATALOGUE.error("failed-to-read-backup-image", reason="the image ends early")


def _first_header(data: bytes) -> Chunk | None:
    at = data.find(MAGIC)
    while at >= 0:
        head = data[at : at + HEADER_BYTES]
        if len(head) == HEADER_BYTES:
            with contextlib.suppress(TapekitError):
                return parse_chunk_header(head)
        at = data.find(MAGIC, at + 1)
    return None
