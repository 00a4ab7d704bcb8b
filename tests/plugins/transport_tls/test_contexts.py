"""Certificates that change under a running server."""

from __future__ import annotations

import datetime as dt
import ssl
from typing import TYPE_CHECKING

import pytest

from tapekit.errors import TapekitError
from tapekit_transport_tls.certificates import make_certificate
from tapekit_transport_tls.contexts import ServerContexts
from tapekit_transport_tls.key_files import replace_file

if TYPE_CHECKING:
    from pathlib import Path


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def test_unchanged_files_are_read_once(certificate: Path) -> None:
    contexts = ServerContexts(certificate, None, now)
    assert contexts.current() is contexts.current()


def test_a_renewed_certificate_is_used_from_then_on(certificate: Path) -> None:
    contexts = ServerContexts(certificate, None, now)
    before = contexts.current()
    replace_file(certificate, make_certificate(("other",), now()))
    assert contexts.current() is not before


@pytest.mark.parametrize("damage", ["removed", "damaged", "open"])
def test_what_cannot_be_used_is_told_once_and_leaves_the_old_one(
    certificate: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    contexts = ServerContexts(certificate, None, now)
    before = contexts.current()
    if damage == "removed":
        certificate.unlink()
    else:
        replace_file(certificate, b"" if damage == "damaged" else certificate.read_bytes())
    if damage == "open":
        certificate.chmod(0o644)
    assert contexts.current() is before
    assert contexts.current() is before
    (line,) = caplog.messages
    assert line.startswith("the certificate in use stays: ")
    replace_file(certificate, make_certificate(("other",), now()))
    assert contexts.current() is not before


def test_without_ever_a_certificate_there_is_no_context(tmp_path: Path) -> None:
    contexts = ServerContexts(tmp_path / "absent.pem", None, now)
    for _ in range(2):
        with pytest.raises(TapekitError):
            contexts.current()
    replace_file(tmp_path / "absent.pem", make_certificate(("late",), now()))
    assert isinstance(contexts.current(), ssl.SSLContext)


@pytest.mark.parametrize(("days", "is_told"), [(29, True), (31, False)])
def test_a_certificate_that_ends_soon_is_told(
    certificate: Path, days: int, caplog: pytest.LogCaptureFixture, *, is_told: bool
) -> None:
    replace_file(certificate, make_certificate(("a",), now(), days=days))
    ServerContexts(certificate, None, now).current()
    assert ["holds until" in line for line in caplog.messages] == [True] * is_told
