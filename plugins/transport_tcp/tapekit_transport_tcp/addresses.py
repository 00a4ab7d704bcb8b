"""Addresses as settings write them.

``HOST:PORT`` is split by hand, since an IPv6 address has colons of its own
and stands in brackets. Nothing here looks a name up: a text is judged
before anything runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekit.hookspecs.transport import Endpoint
from tapekit_transport_tcp.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.errors import TapekitError

__all__ = ["listen_endpoint", "listen_endpoints", "require_order"]

_PORTS: Final = 65536


def listen_endpoint(address: str) -> Endpoint:
    """Split ``HOST:PORT`` or ``[IPV6]:PORT``; the host may be a name.

    :raises TapekitError: it is neither.
    """
    host, colon, port = address.rpartition(":")
    if not colon:
        raise _refusal(address, "the port is missing")
    bare = host.removeprefix("[").removesuffix("]")
    if host not in (bare, f"[{bare}]"):
        raise _refusal(address, "a bracket stands alone")
    if host == bare and ":" in host:
        raise _refusal(address, "an IPv6 address stands in brackets")
    if not bare or any(char.isspace() for char in address):
        raise _refusal(address, "the host is missing or has blanks")
    if not (port.isascii() and port.isdigit() and int(port) < _PORTS):
        raise _refusal(address, f'"{port}" is not a port from 0 to {_PORTS - 1}')
    return Endpoint(bare, int(port))


def listen_endpoints(addresses: Sequence[str]) -> tuple[Endpoint, ...]:
    """Split all addresses of a list that must have one.

    :raises TapekitError: the list is empty, or an address is malformed.
    """
    if not addresses:
        raise CATALOGUE.error("no-listen-address")
    return tuple(map(listen_endpoint, addresses))


def require_order(ports: tuple[int, int] | None) -> None:
    """Refuse a range of ports that runs backwards.

    :raises TapekitError: it does.
    """
    if ports is not None and ports[0] > ports[1]:
        raise CATALOGUE.error("bad-port-range", low=ports[0], high=ports[1])


def _refusal(address: str, reason: str) -> TapekitError:
    return CATALOGUE.error("bad-listen-address", address=address, reason=reason)
