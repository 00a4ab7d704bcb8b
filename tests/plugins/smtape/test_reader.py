"""What a reader of images says of streams that are none, or not the right ones."""

from __future__ import annotations

import pytest
from crc32c import crc32c
from tests.plugins.smtape.image_maker import SET_ID, STAMP_NS, chunk_of, image_of

from tapekit.errors import TapekitError
from tapekit.streams import StreamReader
from tapekit.testing.memory_connection import MemorySource
from tapekit_smtape.format_chunks import HEADER_BYTES, ChunkKind
from tapekit_smtape.format_header import CopyRow, ImageHeader, encode_header
from tapekit_smtape.format_records import CopyBegin, CopyEnd, Gone, pack_record
from tapekit_smtape.reader import ImageReader

COPY = CopyRow(name="one", identifier="id-one", created_at_s=1)
HEADER = ImageHeader(volume="/vs1/vol1", base=None, copies=(COPY,), root=2)
RECORDS = [CopyBegin(0), Gone(2, b"name"), CopyEnd(0)]
IMAGE = image_of(encode_header(HEADER), [pack_record(record) for record in RECORDS])
FIRST = chunk_of(ChunkKind.IMAGE_HEADER, encode_header(HEADER), 0)
SECOND = chunk_of(ChunkKind.RECORDS, b"".join(map(pack_record, RECORDS)), 1)
LAST = chunk_of(ChunkKind.IMAGE_END, b"", 2)
LATER = chunk_of(ChunkKind.RECORDS, b"", 3)
OTHER = chunk_of(ChunkKind.RECORDS, b"", 1, bytes(16))
CUT = chunk_of(ChunkKind.RECORDS, bytes(500), 1)[:300]
"""What is left of a chunk whose tape has ended in it."""


def read(image: bytes) -> list[object]:
    source = MemorySource(image)
    stream = StreamReader(source)
    reader = ImageReader(stream)
    try:
        return [reader.header(), *reader.records()]
    finally:
        stream.close()


def refused(image: bytes) -> str:
    with pytest.raises(TapekitError) as caught:
        read(image)
    return str(caught.value)


def test_an_image_is_read_and_what_is_behind_it_is_not() -> None:
    assert IMAGE == FIRST + SECOND + LAST
    assert read(IMAGE + bytes(4096)) == [HEADER, *RECORDS]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (b"", "Failed to initialize restore stream"),
        (FIRST[:20], "Failed to initialize restore stream"),
        (b"dump" * 1000, "Invalid input tape"),
        (SECOND + LAST, "Tapes out of order"),
        (b"cut" + SECOND + bytes(1 << 18), "Tapes out of order"),
        (b"cut" + FIRST + bytes(1 << 18), "Invalid input tape"),
        (FIRST[:-3], "Failed to read backup image"),
        (FIRST, "Failed to read backup image"),
        (FIRST + SECOND, "Failed to read backup image"),
        (FIRST + SECOND[:-1], "Failed to read backup image"),
        (FIRST + LAST + SECOND, "Chunks out of order"),
        (FIRST + FIRST, "Chunks out of order"),
        (FIRST + bytes(1000), "Invalid backup image magic number"),
        (FIRST + bytes(1000) + SECOND + bytes(1 << 18), "Invalid backup image magic number"),
        (FIRST + bytes(1000) + LATER + bytes(1 << 18), "Chunks out of order"),
        (FIRST + bytes(1000) + OTHER + bytes(1 << 18), "Mismatch in backup set ID"),
        (FIRST + CUT + LATER + bytes(1 << 18), "Chunks out of order"),
        (FIRST + CUT + LAST + bytes(1 << 18), "Invalid backup image checksum"),
        (FIRST + CUT + OTHER + bytes(1 << 18), "Mismatch in backup set ID"),
        (chunk_of(ChunkKind.RECORDS, b"", 0), "Image header missing or corrupted"),
        (chunk_of(ChunkKind.IMAGE_HEADER, b"{}", 0), "Image header missing or corrupted"),
        (chunk_of(ChunkKind.IMAGE_HEADER, b"\xff", 0), "Image header missing or corrupted"),
        (
            FIRST + chunk_of(ChunkKind.IMAGE_HEADER, encode_header(HEADER), 1),
            "Chunks out of order",
        ),
        (FIRST + chunk_of(ChunkKind.RECORDS, b"", 1, bytes(16)), "Mismatch in backup set ID"),
        (
            FIRST + chunk_of(ChunkKind.RECORDS, b"", 1, SET_ID, STAMP_NS + 1),
            "Mismatch in backup time stamp",
        ),
    ],
)
@pytest.mark.requirement("R348", "R359", "R360", "R361", "R363", "R365", "R367", "R368", "R372")
def test_every_defect_has_its_message(image: bytes, message: str) -> None:
    assert refused(image) == message


@pytest.mark.requirement("R364")
def test_every_bit_counts() -> None:
    for at in range(len(IMAGE)):
        damaged = bytearray(IMAGE)
        damaged[at] ^= 0x10
        in_first_magic, in_magic = at < 8, at % (1 << 30) in _magics()
        expected = (
            "Invalid input tape"
            if in_first_magic
            else "Invalid backup image magic number"
            if in_magic
            else "Invalid backup image checksum"
        )
        assert refused(bytes(damaged)) == expected, at


def _magics() -> set[int]:
    starts = [0, len(FIRST), len(FIRST) + len(SECOND)]
    return {start + at for start in starts for at in range(8)}


@pytest.mark.requirement("R349")
def test_another_version_is_not_supported() -> None:
    head = bytearray(FIRST[: HEADER_BYTES - 4])
    head[9] = 9
    image = bytes(head) + crc32c(bytes(head)).to_bytes(4) + FIRST[HEADER_BYTES:]
    assert refused(image) == "Chunk format not supported"


@pytest.mark.parametrize(
    "records",
    [
        b"\x02",
        b"\x63\0\0\0\0",
        b"\x02\0\0\0\x01x",
        b"\x02\xff\xff\xff\xff",
        pack_record(Gone(2, b"..")),
        pack_record(Gone(2, b"a/b")),
        pack_record(Gone(2, b"")),
        pack_record(Gone(2, b"a\0")),
        pack_record(Gone(2, b"n" * 256)),
    ],
)
def test_records_that_make_no_sense_are_refused(records: bytes) -> None:
    assert refused(FIRST + chunk_of(ChunkKind.RECORDS, records, 1)) == "Failed to read backup image"
