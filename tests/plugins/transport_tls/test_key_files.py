"""Certificate and key as files."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from tapekit.errors import TapekitError
from tapekit_transport_tls.key_files import (
    read_file,
    replace_file,
    server_context,
    write_new_file,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_a_new_file_is_its_owners_alone_and_replaces_nothing(tmp_path: Path) -> None:
    file = tmp_path / "new"
    assert write_new_file(file, b"one")
    assert not write_new_file(file, b"two")
    assert file.read_bytes() == b"one"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "old"
    file.write_bytes(b"old")
    file.chmod(0o644)
    replace_file(file, b"new")
    assert file.read_bytes() == b"new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("make", [write_new_file, replace_file])
def test_a_file_that_cannot_be_made_is_told(tmp_path: Path, make: object) -> None:
    assert callable(make)
    with pytest.raises(TapekitError, match="No such file or directory") as refused:
        make(tmp_path / "absent" / "file", b"")
    assert refused.value.id == "transport_tls.certificate-not-made"


def test_certificate_and_key_may_share_a_file_or_not(certificate: Path, pem: bytes) -> None:
    assert server_context(certificate, None).num_tickets == 0
    key = certificate.with_name("key.pem")
    at = pem.index(b"-----BEGIN CERTIFICATE")
    write_new_file(key, pem[:at])
    replace_file(certificate, pem[at:])
    certificate.chmod(0o644)
    server_context(certificate, key)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_that_others_can_read_or_change_is_refused(certificate: Path, mode: int) -> None:
    certificate.chmod(mode)
    with pytest.raises(TapekitError, match=f"mode {mode:04o}") as refused:
        server_context(certificate, None)
    assert refused.value.id == "transport_tls.key-open-to-others"


def test_missing_files_are_told(certificate: Path) -> None:
    absent = certificate.with_name("absent.pem")
    for arguments in ((absent, None), (certificate, absent)):
        with pytest.raises(TapekitError, match=r"absent\.pem.*No such file") as refused:
            server_context(*arguments)
        assert refused.value.id == "transport_tls.file-unreadable"
    with pytest.raises(TapekitError, match=r"absent\.pem"):
        read_file(absent)


def encrypted(pem: bytes) -> bytes:
    key = load_pem_private_key(pem, None)
    secret = BestAvailableEncryption(b"secret")
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret)


def test_what_cannot_be_used_is_told_without_asking_a_terminal(
    certificate: Path, pem: bytes
) -> None:
    at = pem.index(b"-----BEGIN CERTIFICATE")
    for content in (
        b"",
        pem[:at],
        pem[at:],
        encrypted(pem) + pem[at:],
        pem[:at] + pem[at : at + 99],
    ):
        replace_file(certificate, content)
        with pytest.raises(TapekitError) as refused:
            server_context(certificate, None)
        assert refused.value.id == "transport_tls.key-unusable"
