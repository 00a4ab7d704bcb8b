"""Certificates that the server makes, and what is read of any."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tapekit.errors import TapekitError
from tapekit_transport_tls.certificates import facts_of, make_certificate

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
FILE = Path("ndmps.pem")


@pytest.mark.requirement("R183")
def test_a_certificate_stands_for_its_names_and_for_ten_years() -> None:
    pem = make_certificate(("filer.example.com", "192.0.2.7", "2001:db8::7"), NOW)
    facts = facts_of(pem, FILE)
    assert facts.subject == "CN=filer.example.com"
    assert facts.names == ("filer.example.com", "192.0.2.7", "2001:db8::7")
    assert facts.not_before < NOW
    assert facts.not_after == NOW + dt.timedelta(days=3650)
    assert len(facts.fingerprint.split(":")) == 32


def test_the_key_is_of_p256_and_new_each_time() -> None:
    keys = [load_pem_private_key(make_certificate(("a",), NOW), None) for _ in range(2)]
    numbers = []
    for key in keys:
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert isinstance(key.curve, ec.SECP256R1)
        numbers.append(key.private_numbers().private_value)
    assert numbers[0] != numbers[1]


def test_it_is_for_servers_and_no_authority() -> None:
    certificate = x509.load_pem_x509_certificate(make_certificate(("a",), NOW, days=1))
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert not constraints.value.ca
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert list(usage.value) == [x509.ExtendedKeyUsageOID.SERVER_AUTH]


def test_a_long_name_is_cut_in_the_subject_alone() -> None:
    name = ".".join(["long" * 10] * 3)
    facts = facts_of(make_certificate((name,), NOW), FILE)
    assert facts.names == (name,)
    assert facts.subject == f"CN={name[:64]}"


@pytest.mark.parametrize("name", ["", "a b", "a..b", "*", "a/b", "käse.example", "x" * 64])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(TapekitError) as refused:
        make_certificate(("good", name), NOW)
    assert refused.value.id == "transport_tls.bad-name"


@pytest.mark.parametrize(
    "pem", [b"", b"text", b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"]
)
def test_what_is_no_certificate_is_told(pem: bytes) -> None:
    with pytest.raises(TapekitError, match=r"no certificate in ndmps\.pem") as refused:
        facts_of(pem, FILE)
    assert refused.value.id == "transport_tls.certificate-unreadable"
