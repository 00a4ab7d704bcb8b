"""The logical interfaces of the stack file, found by address.

Addresses are compared as numbers, so that each way to write one finds its
LIF. The one rule: an address belongs to one LIF.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, TypeAlias

from tapekit_cluster.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tapekit_cluster.settings import ClusterSettings, Lif

__all__ = ["Address", "interfaces_of", "numeric", "owner_of"]

Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"


def numeric(host: str) -> Address:
    """A numeric address without its zone; IPv4 in IPv6 counts as IPv4.

    :raises ValueError: it is none.
    """
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def owner_of(lif: Lif, settings: ClusterSettings) -> str:
    """The SVM that a LIF belongs to: its own, or the admin SVM."""
    return lif.svm or settings.name


def interfaces_of(settings: ClusterSettings) -> Mapping[Address, Lif]:
    """The LIFs by their addresses.

    :raises TapekitError: the stack file contradicts itself.
    """
    found: dict[Address, Lif] = {}
    names: set[str] = set()
    for lif in settings.lif:
        if lif.name in names:
            raise CATALOGUE.error("lif-twice", lif=lif.name)
        names.add(lif.name)
        if (lif.role == "data") != bool(lif.svm):
            raise CATALOGUE.error("svm-of-lif", lif=lif.name, role=lif.role, svm=lif.svm)
        for text in lif.addresses:
            address = _address(lif, text)
            if address in found:
                raise CATALOGUE.error(
                    "address-twice", first=found[address].name, second=lif.name, address=text
                )
            found[address] = lif
    return found


def _address(lif: Lif, text: str) -> Address:
    try:
        return numeric(text)
    except ValueError:
        raise CATALOGUE.error("bad-address", lif=lif.name, address=text) from None
