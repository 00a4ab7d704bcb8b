"""Class 0x2051, version 1: one more kind of data connection, TCP_IPV6.

The class has no messages; a session that has chosen it may use the kind in
CONFIG_GET_CONNECTION_TYPE and in all addresses. The rule of families: unless
the settings or the place of the session lift it, a data connection has the
family of the control connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit_ndmp_v4.hookspecs import ChosenExtension, Extension
from tapekit_ndmp_v4.numbers import AddrType

if TYPE_CHECKING:
    from collections.abc import Collection

    from tapekit_ndmp_v4.hookspecs import ExtendedSession

__all__ = ["CLASS_ID", "ChosenCae", "connection_address_extension"]

CLASS_ID: Final = 0x2051
_VERSION: Final = 1

_FAMILIES: Final = frozenset({AddrType.TCP, AddrType.TCP_IPV6})


@final
class ChosenCae(ChosenExtension):
    """The extension in one session."""

    def __init__(self, session: ExtendedSession, version: int, *, any_family: bool) -> None:
        super().__init__(session, version)
        self._any_family: Final = any_family

    def address_kinds(self) -> Collection[AddrType]:
        """Both families, or the one of the control connection."""
        is_free = self._any_family or self.session.place.may_mix_families
        return _FAMILIES if is_free else {self.session.control_family}


def connection_address_extension(*, any_family: bool) -> Extension:
    """The class as ``ndmp_v4`` offers it."""

    def begin(session: ExtendedSession, version: int) -> ChosenCae:
        return ChosenCae(session, version, any_family=any_family)

    return Extension(class_id=CLASS_ID, name="CAE", versions=(_VERSION,), begin=begin)
