"""Labels are read as they were written, and nothing else is one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tapekit_dma.label import LABEL_BYTES, Label, decode_label, encode_label

WORDS = st.from_regex(r"[A-Za-z0-9._-]{1,32}", fullmatch=True)


@given(WORDS, WORDS, WORDS, st.integers(0, 2**40))
def test_a_label_comes_back(barcode: str, media_set: str, identifier: str, written: int) -> None:
    label = Label(barcode=barcode, media_set=media_set, identifier=identifier, written_at=written)
    record = encode_label(label)
    assert len(record) == LABEL_BYTES
    assert decode_label(record) == label


@given(st.binary(max_size=200))
def test_other_records_are_no_labels(data: bytes) -> None:
    assert decode_label(data) is None


def test_a_label_that_is_cut_or_has_other_lines_is_none() -> None:
    label = Label(barcode="A", media_set="b", identifier="c", written_at=1)
    record = encode_label(label)
    assert decode_label(record[:40]) is None
    assert decode_label(record.replace(b"LABEL 1", b"LABEL 2")) is None
    assert decode_label(record.replace(b"label:", b"other:")) is None
