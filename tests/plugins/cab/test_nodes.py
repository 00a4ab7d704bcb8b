"""The nodes of a stack file, and what stands for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tapekit.errors import TapekitError
from tapekit_cab.nodes import affinity, nodes_of, password_of
from tapekit_cab.settings import CabSettings, NodeSettings

if TYPE_CHECKING:
    from pathlib import Path


def settings(*nodes: tuple[str, str]) -> CabSettings:
    return CabSettings(
        node=tuple(
            NodeSettings(name=name, address=address, user="nodes", password_file="secret")
            for name, address in nodes
        )
    )


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [("192.0.2.1:10000", "192.0.2.1", 10000), ("[2001:db8::1]:7", "2001:db8::1", 7)],
)
def test_an_address_has_host_and_port(address: str, host: str, port: int) -> None:
    node = nodes_of(settings(("node2", address)))["node2"]
    assert (node.host, node.port, node.address) == (host, port, address)


@pytest.mark.parametrize("address", ["node2", "node2:", ":10000", "node2:0", "node2:65536", "a:b"])
def test_an_address_without_either_is_refused(address: str) -> None:
    with pytest.raises(TapekitError, match="not of the form HOST:PORT"):
        nodes_of(settings(("node2", address)))


def test_two_nodes_of_one_name_are_refused() -> None:
    with pytest.raises(TapekitError, match="two of this name"):
        nodes_of(settings(("node2", "a:1"), ("node2", "b:1")))


def test_an_affinity_tells_nodes_apart_and_not_what_they_are_called() -> None:
    assert affinity("node1") == affinity("node1") != affinity("node2")
    assert "node1" not in affinity("node1")


def test_a_password_is_read_from_a_file_of_its_owner_alone(tmp_path: Path) -> None:
    node = nodes_of(settings(("node2", "a:1")))["node2"]
    file = tmp_path / "secret"
    with pytest.raises(TapekitError, match="No such file"):
        password_of(node, tmp_path)
    file.write_bytes(b"word\n")
    file.chmod(0o640)
    with pytest.raises(TapekitError, match="others than its owner"):
        password_of(node, tmp_path)
    file.chmod(0o600)
    assert password_of(node, tmp_path) == b"word"
    file.unlink()
    file.mkdir(0o700)
    with pytest.raises(TapekitError, match="directory"):
        password_of(node, tmp_path)
