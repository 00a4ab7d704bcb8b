"""What the command line says of certificates."""

from __future__ import annotations

from pathlib import Path

import pytest

from tapekit_ndmp_v4.client import ServerTrust
from tapekit_ndmpcopy.trust import read_trust

COLONS = ":".join(["aB"] * 32)


@pytest.mark.parametrize("text", [COLONS, "0f" * 32])
def test_a_digest_is_a_fingerprint(text: str) -> None:
    assert read_trust(text) == ServerTrust(fingerprint=text)


@pytest.mark.parametrize("text", ["ca.pem", "/etc/ssl/ca.pem", "0f" * 31, COLONS + ":00"])
def test_anything_else_is_a_file(text: str) -> None:
    assert read_trust(text) == ServerTrust(ca_file=Path(text))


def test_without_it_the_connection_is_a_plain_one() -> None:
    assert read_trust(None) is None
