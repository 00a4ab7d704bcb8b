"""Passwords under seal."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.errors import TapekitError
from tapekit_auth.sealing import BrokenSeal, KeyFile, Sealer

if TYPE_CHECKING:
    from pathlib import Path


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_what_is_sealed_can_be_opened(secret: bytes, bound_to: bytes) -> None:
    sealer = Sealer.with_new_key()
    assert sealer.unseal(sealer.seal(secret, bound_to), bound_to) == secret


@given(st.integers(0, 35), st.integers(1, 255))
def test_a_changed_seal_is_broken(position: int, change: int) -> None:
    sealer = Sealer.with_new_key()
    sealed = bytearray(sealer.seal(b"12345678", b"anna"))
    sealed[position] ^= change
    with pytest.raises(BrokenSeal):
        sealer.unseal(bytes(sealed), b"anna")


@pytest.mark.parametrize("length", [0, 5, 12, 27])
def test_a_cut_seal_is_broken(length: int) -> None:
    sealer = Sealer.with_new_key()
    with pytest.raises(BrokenSeal):
        sealer.unseal(sealer.seal(b"12345678", b"anna")[:length], b"anna")


def test_a_seal_is_bound_and_needs_its_key() -> None:
    sealer = Sealer.with_new_key()
    sealed = sealer.seal(b"12345678", b"anna")
    with pytest.raises(BrokenSeal):
        sealer.unseal(sealed, b"bert")
    with pytest.raises(BrokenSeal):
        Sealer.with_new_key().unseal(sealed, b"anna")


def test_a_secret_is_sealed_differently_each_time_and_does_not_show() -> None:
    sealer = Sealer.with_new_key()
    first, second = sealer.seal(b"12345678", b""), sealer.seal(b"12345678", b"")
    assert first != second
    assert b"12345678" not in first


def test_a_key_is_made_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "state" / "auth.key"
    sealed = KeyFile(path).sealer(may_make=True).seal(b"secret", b"")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    assert KeyFile(path).sealer(may_make=True).unseal(sealed, b"") == b"secret"
    assert path.read_bytes() == before


def test_a_key_is_not_made_where_one_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "auth.key"
    with pytest.raises(TapekitError) as missing:
        KeyFile(path).sealer()
    assert missing.value.id == "auth.key-missing"
    assert not path.exists()


@pytest.mark.parametrize(
    "content", [b"", b"abcd", b"g" * 64, b"0" * 63, b"0" * 66, b"\xff" * 32, b"0" * 5000]
)
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "auth.key"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(TapekitError) as refused:
        KeyFile(path).sealer(may_make=True)
    assert refused.value.id == "auth.key-unusable"
    assert path.read_bytes() == content


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "auth.key"
    KeyFile(path).sealer(may_make=True)
    path.chmod(0o640)
    with pytest.raises(TapekitError) as refused:
        KeyFile(path).sealer()
    assert refused.value.id == "auth.secret-open-to-others"
