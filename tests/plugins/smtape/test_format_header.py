from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.errors import TapekitError
from tapekit_smtape.format_header import CopyRow, ImageHeader, decode_header, encode_header

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
COPIES = st.lists(
    st.builds(
        CopyRow,
        name=TEXTS,
        identifier=TEXTS,
        created_at_s=st.integers(-(2**63), 2**63 - 1),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda copy: copy.identifier,
).map(tuple)
HEADERS = st.builds(
    ImageHeader,
    volume=st.text(st.characters(exclude_categories=["Cs"])),
    base=st.none(),
    copies=COPIES,
    root=st.integers(1, 2**63 - 1),
)


@given(HEADERS)
def test_headers_come_back(header: ImageHeader) -> None:
    assert decode_header(encode_header(header)) == header


@pytest.mark.requirement("R361")
@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"\xff",
        b'{"volume":"/a/b","base":null,"copies":[],"root":1}',
        b'{"volume":"","base":"i","copies":[{"name":"n","identifier":"i","created_at_s":0}],"root":1}',
    ],
)
def test_what_is_no_header_is_told(payload: bytes) -> None:
    with pytest.raises(TapekitError, match="Image header missing or corrupted"):
        decode_header(payload)


def test_keys_that_nobody_knows_are_passed_over() -> None:
    payload = (
        b'{"volume":"/a/b","base":null,"copies":[{"name":"n","identifier":"i","created_at_s":0}],'
        b'"root":1,"later":true}'
    )
    assert decode_header(payload).copies[0].name == "n"
