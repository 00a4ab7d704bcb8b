"""Which of the machine's addresses a data connection uses.

Without a preference it is the address of the control connection, which the
backup application can reach. With one, the roles are gone through in order;
an address that no preferred role has is never used, however reachable.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from tapekit_transport_tcp.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tapekit_transport_tcp.families import Family
    from tapekit_transport_tcp.settings import InterfaceRole, TransportTcpSettings

__all__ = ["own_address", "require_numeric"]


def require_numeric(interfaces: Mapping[InterfaceRole, Sequence[str]]) -> None:
    """Refuse what is not a numeric address.

    :raises TapekitError: naming the first one and its role.
    """
    for role, addresses in interfaces.items():
        for address in addresses:
            try:
                ipaddress.ip_address(address)
            except ValueError:
                raise CATALOGUE.error("bad-interface-address", address=address, role=role) from None


def own_address(settings: TransportTcpSettings, family: Family, control: str | None) -> str | None:
    """The address for a data connection, or ``None`` if no role is preferred.

    Among the addresses of a role the one of the control connection comes
    first, since it is known to work.

    :param control: our address on the control connection, if it is known.
    :raises TapekitError: no preferred role has an address of the family.
    """
    roles = settings.preferred_interface_role
    for role in roles:
        fitting = [each for each in settings.interfaces.get(role, ()) if family.has(each)]
        if fitting:
            return control if control in fitting else fitting[0]
    if roles:
        raise CATALOGUE.error(
            "no-preferred-address", kind=family.kind, family=family.name, roles=", ".join(roles)
        )
    return None
