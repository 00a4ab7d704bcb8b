"""Several volumes of Debian's dump, read one behind the other."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.streams import EndOfStream, StreamReader
from tapekit.testing.memory_connection import MemorySource
from tapekit_dump.headers import RECORD_BYTES, HeaderType, unpack_header
from tapekit_dump.recover_volumes import JoinedVolumes, may_have_volumes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BLOCK = 10
DATE = 1_600_000_000


def volume_header(dump: Any, volume: int, number: int, **values: int) -> bytes:
    return bytes(
        dump.record(
            **{
                "magic": 60012,
                "type": HeaderType.TAPE,
                "date": DATE,
                "volume": volume,
                "record": number,
                "first_record": number,
                "records_per_block": BLOCK,
                "address_count": 1,
                "flags": 3,
                **values,
            }
        )
    )


def cut_into_volumes(dump: Any, data: bytes, records: int) -> bytes:
    """A dump of one volume as volumes of so many records, end to end; the
    beginnings of volumes have numbers too.
    """
    assert records % BLOCK == 0
    size = records * RECORD_BYTES
    stream, rest = data[:size], data[size:]
    volume = 2
    while rest:
        stream += volume_header(dump, volume, len(stream) // RECORD_BYTES)
        stream += rest[: size - RECORD_BYTES]
        rest = rest[size - RECORD_BYTES :]
        volume += 1
    return bytes(dump.renumbered(stream))


def joined(dump: Any, stream: bytes) -> JoinedVolumes:
    source = StreamReader(MemorySource(stream, cuts=[4096, 700]))
    first = unpack_header(source.take(RECORD_BYTES))
    assert may_have_volumes(first)
    return JoinedVolumes(source, first)


def content_behind_a_header(dump: Any, records: int) -> bytes:
    body = b"".join(n.to_bytes(4, "little") * 256 for n in range(1, records))
    return volume_header(dump, 1, 0) + body


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["take", "skip", "copy"]), st.integers(0, 40_000)), max_size=30
    ),
    volume=st.sampled_from([10, 20, 70]),
)
def test_volumes_read_as_one_stream(
    dump: Any,
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[str, int]],
    volume: int,
) -> None:
    whole = content_behind_a_header(dump, 300)
    stream = joined(dump, cut_into_volumes(dump, whole, volume))
    at = RECORD_BYTES
    with (tmp_path_factory.getbasetemp() / "copied").open("w+b") as file:
        for how, count in steps:
            if at + count > len(whole):
                with pytest.raises(EndOfStream):
                    stream.skip(count)
                return
            if how == "take":
                assert bytes(stream.take(count)) == whole[at : at + count]
            elif how == "copy":
                stream.copy_to(file.fileno(), 7, count)
                assert os.pread(file.fileno(), count, 7) == whole[at : at + count]
            else:
                stream.skip(count)
            at += count
            assert stream.position == at


@pytest.mark.parametrize(
    "change",
    [
        {"volume": 3},
        {"volume": 1},
        {"date": DATE + 1},
        {"record": 11, "first_record": 11},
        {"first_record": 0},
        {"type": HeaderType.INODE},
    ],
)
def test_what_only_looks_like_a_volume_is_content(dump: Any, change: dict[str, int]) -> None:
    look_alike = volume_header(dump, **{"volume": 2, "number": BLOCK, **change})
    whole = content_behind_a_header(dump, BLOCK) + look_alike + bytes(9 * RECORD_BYTES)
    stream = joined(dump, whole)
    stream.skip((BLOCK - 1) * RECORD_BYTES)
    assert bytes(stream.take(RECORD_BYTES)) == look_alike


@pytest.mark.parametrize("values", [{"address_count": 0}, {"records_per_block": 0}, {"type": 2}])
def test_other_dumps_are_one_volume(dump: Any, values: dict[str, int]) -> None:
    assert not may_have_volumes(unpack_header(volume_header(dump, 1, 0, **values)))


@pytest.mark.parametrize("records", [10, 20, 500])
def test_a_restore_from_many_volumes(
    dump: Any, restore: Callable[..., Any], folder: Path, records: int
) -> None:
    contents = {f"f{n}": os.urandom(n * 3100) for n in range(40)}
    stream = dump().begin(100, address_count=1, records_per_block=BLOCK)
    stream.directory(2, [(name.encode(), 3 + n) for n, name in enumerate(contents)])
    for n, content in enumerate(contents.values()):
        stream.file(3 + n, content)
    volumes = cut_into_volumes(dump, stream.end(), records)
    outcome = restore(volumes)
    assert outcome.error is None
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == contents
    missing = restore(volumes[: records * 1024] + volumes[2 * records * 1024 :])
    assert missing.error is not None
