"""The two address families of TCP data connections.

A family is a kind of data connection, a number for sockets and a judgement
of addresses. An IPv6 address that stands for an IPv4 one is refused: what
such a connection would be called by NDMP is written down nowhere.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Final, NamedTuple, final

from tapekit_transport_tcp.errors import CATALOGUE

__all__ = ["IPV4", "IPV6", "Family"]


@final
class Family(NamedTuple):
    """One address family."""

    kind: str
    """The stem of NDMP's address type."""
    name: str
    """What people call it."""
    number: socket.AddressFamily
    """What sockets call it."""

    def has(self, host: str) -> bool:
        """Whether a text is a numeric address of the family."""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv4Address):
            return self.number == socket.AF_INET
        return self.number == socket.AF_INET6 and address.ipv4_mapped is None

    def require(self, host: str) -> None:
        """Refuse what is not an address of the family.

        :raises TapekitError: it is not.
        """
        if not self.has(host):
            raise CATALOGUE.error("not-of-family", kind=self.kind, host=host, family=self.name)


IPV4: Final = Family("TCP", "IPv4", socket.AF_INET)
IPV6: Final = Family("TCP_IPV6", "IPv6", socket.AF_INET6)
