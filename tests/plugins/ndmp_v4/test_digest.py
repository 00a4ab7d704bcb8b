"""The digest against values computed with NDMJOB's arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit_ndmp_v4.digest import challenge_digest, digest_matches

CHALLENGE = bytes(range(64))
LONG = b"0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("password", "digest"),
    [
        (b"secret", "70a332cc22e42742ea3fe70e383273c9"),
        (b"", "a743e9ec060c6d4ed996f0a0a42a381b"),
        (LONG, "738c0b51a6b85854f2755a8d055f2912"),
        (LONG + b"what comes after does not count", "738c0b51a6b85854f2755a8d055f2912"),
    ],
)
@pytest.mark.requirement("R171")
def test_digests_are_those_of_other_programs(password: bytes, digest: str) -> None:
    assert challenge_digest(CHALLENGE, password).hex() == digest
    assert digest_matches(CHALLENGE, bytes.fromhex(digest), password)


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(min_size=64, max_size=64))
def test_only_the_password_matches(password: bytes, other: bytes, challenge: bytes) -> None:
    digest = challenge_digest(challenge, password)
    # Zeros at the end cannot be told from the padding, and 32 bytes count.
    is_same = password[:32].rstrip(b"\0") == other[:32].rstrip(b"\0")
    if not is_same:
        assert not digest_matches(challenge, digest, other)
    assert digest_matches(challenge, digest, password)


@pytest.mark.parametrize("length", [0, 15, 17])
def test_a_digest_of_another_length_never_matches(length: int) -> None:
    assert not digest_matches(CHALLENGE, bytes(length), b"")


def test_a_challenge_has_64_bytes() -> None:
    with pytest.raises(ValueError, match="has 64 bytes, not 63"):
        challenge_digest(bytes(63), b"secret")
