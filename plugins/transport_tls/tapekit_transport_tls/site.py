"""Where certificate and key are, and the names that the server goes by."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, NamedTuple, final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tapekit_transport_tls.settings import TransportTlsSettings

__all__ = ["TlsSite", "names_for", "site_of"]


@final
class TlsSite(NamedTuple):
    """What the settings come to in one place."""

    certificate: Path
    key: Path | None
    """``None`` if the key is in the certificate's file."""
    svms: tuple[str, ...]
    names: tuple[str, ...]
    """Host names and addresses for a certificate made here."""


def site_of(
    settings: TransportTlsSettings, folder: Path, node: str, hosts: Iterable[str]
) -> TlsSite:
    """Resolve the settings' paths.

    :param folder: where relative paths start.
    :param node: name of this node.
    :param hosts: where the server listens.
    """
    return TlsSite(
        certificate=folder / settings.certificate,
        key=None if settings.key is None else folder / settings.key,
        svms=settings.svms,
        names=names_for(node, hosts),
    )


def names_for(node: str, hosts: Iterable[str]) -> tuple[str, ...]:
    """The node's name and the hosts; ``localhost`` for one of loopback. An
    address that stands for all of the machine's names nobody.
    """
    names = [node]
    for host in hosts:
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            names.append(host)
            continue
        if address.is_loopback:
            names.append("localhost")
        if not address.is_unspecified:
            names.append(str(address))
    return tuple(dict.fromkeys(names))
