"""The settings of secure control connections and of private data connections."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["ALL_SVMS", "TransportTlsSettings"]

ALL_SVMS = "*"
"""In place of a name: every storage virtual machine."""


class TransportTlsSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table ``[transport_tls]`` of a stack file."""

    svms: tuple[str, ...] = ()
    """Storage virtual machines for which secure control connections are on at
    first; "*" means all. A session on a secure connection may use these alone.
    What vserver services ndmp modify switches is remembered and counts
    more. While they are on for none, nobody listens."""
    listen: tuple[str, ...] = ("127.0.0.1:30000",)
    """Addresses for secure control connections, as HOST:PORT or [IPV6]:PORT;
    30000 is the port of the service ndmps."""
    certificate: str = "ndmps.pem"
    """File with the server's certificate in PEM form, and those that lead to
    its authority; relative to the stack file's folder."""
    key: str | None = None
    """File with the certificate's key in PEM form, unencrypted; unset means
    that it is in the file of the certificate."""
    handshake_timeout_s: Annotated[float, Meta(gt=0, le=600)] = 10.0
    """Seconds within which a client must complete the TLS handshake, or the
    other side of a private data connection must introduce itself."""
    handshakes: Annotated[int, Meta(ge=1, le=10000)] = 32
    """Handshakes at one time, of control connections or of those who come to
    one data connection; who comes beyond is turned away."""
    private_data: bool = True
    """Whether sessions may choose that their data connections to other
    servers are inside TLS too, whatever their control connection is."""
    require_private_data: bool = False
    """Whether sessions that have not chosen so are refused data connections
    to other servers; data between volumes and drives of this server stays
    possible for all."""
    keepalive_s: Annotated[int, Meta(ge=0, le=32767)] = 60
    """Seconds of silence after which the other side is probed; 0 switches
    probing off."""

    def __post_init__(self) -> None:
        """Refuse to demand what is not offered."""
        if self.require_private_data and not self.private_data:
            raise ValueError("require_private_data needs private_data = true")
