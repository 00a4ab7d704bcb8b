"""What the connecting side is told, as it goes with an address."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.errors import TapekitError
from tapekit.hookspecs.transport import Endpoint
from tapekit_transport_tls.introductions import Introduction, introduction_of, new_identity

SOMEWHERE = Endpoint("192.0.2.7", 10000)
VALUES = st.binary(min_size=32, max_size=32)


@given(fingerprint=VALUES, token=VALUES)
def test_an_introduction_survives_its_way(fingerprint: bytes, token: bytes) -> None:
    introduction = Introduction(fingerprint, token)
    others = (("ANOTHER", "variable"), *introduction.credentials)
    assert introduction_of(others, SOMEWHERE) == introduction


@given(st.lists(st.tuples(st.sampled_from(["TAPEKIT_TLS_SHA256", "X"]), st.text())))
def test_whatever_else_comes_is_refused_with_the_address(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(TapekitError, match=r"192\.0\.2\.7") as refused:
        introduction_of(pairs, SOMEWHERE)
    assert refused.value.id == "transport_tls.no-data-credentials"


def test_a_key_leaves_neither_file_nor_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = set(Path("/proc/self/fd").iterdir())
    first, second = (new_identity(dt.datetime.now(dt.UTC)).introduction for _ in range(2))
    assert set(Path("/proc/self/fd").iterdir()) == before
    assert list(tmp_path.iterdir()) == []
    assert first.fingerprint != second.fingerprint
    assert first.token != second.token
