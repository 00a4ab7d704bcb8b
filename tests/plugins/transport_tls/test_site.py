"""Where certificate and key are, and the names for a certificate."""

from __future__ import annotations

from pathlib import Path

import pytest

from tapekit_transport_tls.settings import TransportTlsSettings
from tapekit_transport_tls.site import names_for, site_of


@pytest.mark.parametrize(
    ("hosts", "names"),
    [
        (["192.0.2.7"], ("node1", "192.0.2.7")),
        (["127.0.0.1", "::1"], ("node1", "localhost", "127.0.0.1", "::1")),
        (["0.0.0.0", "::"], ("node1",)),
        (["filer.example.com", "node1"], ("node1", "filer.example.com")),
        (["fe80::1%eth0"], ("node1", "fe80::1")),
    ],
)
def test_names_are_the_nodes_and_those_of_the_listeners(
    hosts: list[str], names: tuple[str, ...]
) -> None:
    assert names_for("node1", hosts) == names


def test_paths_start_at_the_stack_file() -> None:
    folder = Path("/srv/site")
    site = site_of(TransportTlsSettings(svms=("vs1",)), folder, "node1", [])
    assert (site.certificate, site.key) == (folder / "ndmps.pem", None)
    assert (site.svms, site.names) == (("vs1",), ("node1",))
    elsewhere = TransportTlsSettings(certificate="/etc/tls/cert.pem", key="keys/key.pem")
    site = site_of(elsewhere, folder, "node1", [])
    assert (site.certificate, site.key) == (Path("/etc/tls/cert.pem"), folder / "keys/key.pem")
