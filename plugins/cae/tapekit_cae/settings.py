"""The settings of the Connection Address Extension."""

from __future__ import annotations

import msgspec

__all__ = ["CaeSettings"]


class CaeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table ``[cae]`` of a stack file."""

    any_family: bool = False
    """Whether a session may choose a data connection of another address
    family than its control connection. Where this server listens, it needs
    an address of that family with a preferred role (settings
    preferred_interface_role and interfaces of transport_tcp)."""
