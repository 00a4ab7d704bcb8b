"""Which targets a portal offers, as libiscsi tells it (RFC 7143, SendTargets).

The library answers with a list of its own structures, which is read and given
back at once. The one rule: a portal in an answer has no portal group tag, and
the one that was asked is called as it was called by whoever asked, so that
both can be compared.
"""

from __future__ import annotations

import ctypes
import os
import socket
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Offer", "peer_of", "read_offers"]


class Offer(NamedTuple):
    """A target that a portal offers."""

    name: str
    """The target's iSCSI name."""
    portals: tuple[str, ...]
    """Where it is reached, each as ``HOST:PORT``."""


class _Portal(ctypes.Structure):
    """``struct iscsi_target_portal``, one of a list."""

    _fields_ = (("next", ctypes.c_void_p), ("portal", ctypes.c_char_p))


class _Address(ctypes.Structure):
    """``struct iscsi_discovery_address``, one of a list."""

    _fields_ = (
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("portals", ctypes.c_void_p),
    )


_GROUP: Final = ","
"""What stands before the tag of a portal group."""

S = TypeVar("S", _Portal, _Address)


def read_offers(first: int | None, names: Mapping[str, str]) -> list[Offer]:
    """The targets in a list of the library's.

    :param first: where the list begins; ``None`` for no targets.
    :param names: what portals are to be called, by their addresses.
    """
    offers = []
    for one in _chain(_Address, first):
        portals = [_host_and_port(each.portal) for each in _chain(_Portal, one.portals)]
        offers.append(Offer(_text(one.name), tuple(names.get(each, each) for each in portals)))
    return offers


def peer_of(descriptor: int) -> str:
    """The address at the other end of a connection that stays open, as
    ``HOST:PORT``.

    :raises OSError: it has ended.
    """
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        host, port, *_ = connection.getpeername()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _chain(kind: type[S], first: int | None) -> Iterator[S]:
    place = first
    while place:
        one = kind.from_address(place)
        yield one
        place = one.next


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "replace")


def _host_and_port(raw: bytes | None) -> str:
    return _text(raw).partition(_GROUP)[0]
