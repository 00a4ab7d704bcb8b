"""A certificate in a file of its own."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from tapekit_transport_tls.certificates import make_certificate
from tapekit_transport_tls.key_files import write_new_file

if TYPE_CHECKING:
    from pathlib import Path

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture(scope="session")
def pem() -> bytes:
    """A key and its certificate."""
    return make_certificate(("filer", "localhost", "127.0.0.1", "::1"), NOW)


@pytest.fixture
def certificate(tmp_path: Path, pem: bytes) -> Path:
    file = tmp_path / "ndmps.pem"
    write_new_file(file, pem)
    return file
