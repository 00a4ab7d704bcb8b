"""The MD5 digest with which a client answers a challenge.

NDMP v4, CONNECT_CLIENT_AUTH: one MD5 over exactly 128 bytes, in which the
password stands at both ends and the challenge before the second one. It is
the protocol's own construction and protects nothing beyond this exchange.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

__all__ = ["challenge_digest", "digest_matches"]

_BLOCK_BYTES: Final = 128
_CHALLENGE_BYTES: Final = 64
_PASSWORD_BYTES: Final = 32


def challenge_digest(challenge: bytes, password: bytes) -> bytes:
    """The 16 bytes with which ``password`` answers a challenge of 64 bytes.

    Only the first 32 bytes of the password count.
    """
    if len(challenge) != _CHALLENGE_BYTES:
        raise ValueError(f"a challenge has {_CHALLENGE_BYTES} bytes, not {len(challenge)}")
    secret = password[:_PASSWORD_BYTES]
    padding = bytes(_BLOCK_BYTES - _CHALLENGE_BYTES - 2 * len(secret))
    # A host whose policy forbids MD5 for security still has to speak NDMP.
    block = secret + padding + challenge + secret
    return hashlib.md5(block, usedforsecurity=False).digest()


def digest_matches(challenge: bytes, digest: bytes, password: bytes) -> bool:
    """Whether ``digest`` is the answer for ``password``, in constant time."""
    return hmac.compare_digest(challenge_digest(challenge, password), digest)
