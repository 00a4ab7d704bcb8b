"""``tapekit tls``."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from tapekit.errors import TapekitError
from tapekit_transport_tls.certificates import facts_of
from tapekit_transport_tls.commands import command_app
from tapekit_transport_tls.site import TlsSite

if TYPE_CHECKING:
    from pathlib import Path

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def site_of(certificate: Path, key: Path | None = None) -> TlsSite:
    return TlsSite(certificate, key, ("vs1", "vs2"), ("node1", "192.0.2.7"))


def run(site: TlsSite, *arguments: str) -> str:
    result = CliRunner().invoke(command_app(lambda: site, lambda: NOW), arguments)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_show_tells_all_that_a_client_needs(certificate: Path) -> None:
    facts = facts_of(certificate.read_bytes(), certificate)
    shown = run(site_of(certificate), "show")
    for text in (facts.fingerprint, "filer, localhost, 127.0.0.1, ::1", "vs1, vs2", "CN=filer"):
        assert text in shown
    row = json.loads(run(site_of(certificate), "show", "--json"))
    assert row["sha256"] == facts.fingerprint
    assert row["valid_until"] == facts.not_after.strftime("%Y-%m-%d %H:%M:%S UTC")
    assert row["svms"] == ["vs1", "vs2"]


def test_show_pem_gives_the_certificate_and_never_the_key(certificate: Path) -> None:
    shown = run(site_of(certificate), "show", "--pem").encode()
    assert b"PRIVATE" in certificate.read_bytes()
    assert b"PRIVATE" not in shown
    assert facts_of(shown, certificate) == facts_of(certificate.read_bytes(), certificate)


def test_renew_keeps_the_names(certificate: Path) -> None:
    before = facts_of(certificate.read_bytes(), certificate)
    told = run(site_of(certificate), "renew", "--days", "30")
    after = facts_of(certificate.read_bytes(), certificate)
    assert after.names == before.names
    assert after.fingerprint != before.fingerprint
    assert after.not_after == NOW + dt.timedelta(days=30)
    assert after.fingerprint in told


@pytest.mark.parametrize(
    ("arguments", "names"),
    [((), ("node1", "192.0.2.7")), (("--name", "a", "--name", "::1"), ("a", "::1"))],
)
def test_renew_makes_a_missing_certificate(
    tmp_path: Path, arguments: tuple[str, ...], names: tuple[str, ...]
) -> None:
    file = tmp_path / "absent.pem"
    run(site_of(file), "renew", *arguments)
    assert facts_of(file.read_bytes(), file).names == names


def test_a_certificate_of_others_is_not_renewed(certificate: Path) -> None:
    before = certificate.read_bytes()
    with pytest.raises(TapekitError) as refused:
        run(site_of(certificate, certificate.with_name("key.pem")), "renew")
    assert refused.value.id == "transport_tls.certificate-not-ours"
    assert certificate.read_bytes() == before
