"""The library's list of targets is read as it lies in memory."""

from __future__ import annotations

import ctypes
import socket

import pytest

from tapekit_scsi_iscsi.discovery import Offer, peer_of, read_offers


class Portal(ctypes.Structure):
    """``struct iscsi_target_portal``."""

    _fields_ = (("next", ctypes.c_void_p), ("portal", ctypes.c_char_p))


class Address(ctypes.Structure):
    """``struct iscsi_discovery_address``."""

    _fields_ = (("next", ctypes.c_void_p), ("name", ctypes.c_char_p), ("portals", ctypes.c_void_p))


def test_targets_are_read_with_their_portals() -> None:
    second = Portal(None, b"[fd00::7]:3260,2")
    first = Portal(ctypes.addressof(second), b"10.0.0.7:3260,1")
    bare = Address(None, b"iqn.2026-11.x:y", None)
    reached = Address(ctypes.addressof(bare), b"iqn.2026-11.x:x", ctypes.addressof(first))
    names = {"[fd00::7]:3260": "tapes.x:3260"}
    assert read_offers(ctypes.addressof(reached), names) == [
        Offer("iqn.2026-11.x:x", ("10.0.0.7:3260", "tapes.x:3260")),
        Offer("iqn.2026-11.x:y", ()),
    ]


def test_an_empty_list_has_no_targets() -> None:
    assert read_offers(None, {}) == []


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")], ids=["IPv4", "IPv6"]
)
def test_a_portal_is_known_by_its_connection(host: str, shown: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        port = server.getsockname()[1]
        with socket.create_connection((host, port)) as connection:
            assert peer_of(connection.fileno()) == f"{shown}:{port}"
            assert connection.fileno() >= 0
