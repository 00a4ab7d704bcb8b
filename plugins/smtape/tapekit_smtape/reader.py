"""Reads an image from a stream: chunks in order, and the records in them.

Every chunk is looked at before anything in it is believed: that it is one,
that it is whole, that it belongs to this image and comes next. The one rule:
the end of an image is its last chunk; a stream that ends before is damaged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit.streams import EndOfStream
from tapekit_smtape.errors import CATALOGUE
from tapekit_smtape.format_chunks import (
    HEADER_BYTES,
    MAGIC,
    ChunkKind,
    check_payload,
    parse_chunk_header,
)
from tapekit_smtape.format_header import decode_header
from tapekit_smtape.format_records import parse_records

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapekit.errors import TapekitError
    from tapekit.streams import StreamReader
    from tapekit_smtape.format_chunks import Chunk
    from tapekit_smtape.format_header import ImageHeader
    from tapekit_smtape.format_records import Record

__all__ = ["ImageReader"]


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
            payload = self._payload(chunk)
            if chunk.kind is ChunkKind.IMAGE_END:
                return
            if chunk.kind is not ChunkKind.RECORDS:
                raise CATALOGUE.error("chunks-out-of-order")
            yield from parse_records(payload)

    def _next_chunk(self) -> Chunk:
        try:
            chunk = parse_chunk_header(self._take(HEADER_BYTES))
        except EndOfStream as end:
            raise self._ends_early() from end
        first = self._first
        assert first is not None
        if chunk.set_id != first.set_id:
            raise CATALOGUE.error("mismatch-in-backup-set-id")
        if chunk.stamp_ns != first.stamp_ns:
            raise CATALOGUE.error("mismatch-in-backup-time-stamp")
        if chunk.sequence != self._sequence:
            raise CATALOGUE.error("chunks-out-of-order")
        self._sequence += 1
        return chunk

    def _payload(self, chunk: Chunk) -> memoryview:
        try:
            payload = self._take(chunk.length)
        except EndOfStream as end:
            raise self._ends_early() from end
        check_payload(chunk, payload)
        return payload

    def _take(self, count: int) -> memoryview:
        try:
            return self._stream.take(count)
        except OSError as error:
            reason = error.strerror or str(error)
            raise CATALOGUE.error("failed-to-read-backup-image", reason=reason) from error

    def _ends_early(self) -> TapekitError:
        return CATALOGUE.error("failed-to-read-backup-image", reason="the image ends early")
