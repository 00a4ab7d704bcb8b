"""The two ends of a copy, as the command line writes them.

A place is ``ADDRESS:/vserver/volume[/path]``, with an IPv6 address in square
brackets. Everything is judged from the text, before any connection. The one
rule: an address is a number, never a name, so that what is copied where does
not depend on a name service.
"""

from __future__ import annotations

import enum
import ipaddress
from typing import TYPE_CHECKING, Final, TypeAlias, final

import msgspec

from tapekit_ndmp_v4.client import ServerTrust
from tapekit_ndmpcopy.errors import CATALOGUE

if TYPE_CHECKING:
    from tapekit.errors import TapekitError

__all__ = [
    "Family",
    "Place",
    "read_place",
    "require_two_places",
    "require_two_places_of_one_server",
]

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_VOLUME_DEPTH: Final = 2


class Family(enum.StrEnum):
    """An address mode, as the options have it."""

    INET = "inet"
    INET6 = "inet6"


@final
class Place(msgspec.Struct, frozen=True, kw_only=True):
    """One end of a copy."""

    host: str
    """The address of the server, without brackets."""
    port: int
    """TCP port of its control connections."""
    path: str
    """``/vserver/volume[/path]``, without a slash at the end."""
    trust: ServerTrust | None = None
    """How the server proves itself, if the control connection is secure."""

    @property
    def family(self) -> Family:
        """The address mode of the control connection."""
        return Family.INET6 if ":" in self.host else Family.INET

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.path}"


def read_place(
    text: str, *, port: int, option: str, family: Family | None, loopback: bool
) -> Place:
    """Take an end of a copy apart.

    :param option: the option that fixes the address mode, for messages.
    :param family: the mode that it asks for, if it is given.
    :param loopback: whether addresses of this machine alone are allowed.
    :raises TapekitError: it is no such end, or breaks one of the rules.
    """
    host, colon, rest = text.partition(":/")
    if not colon or not host or host.startswith("/"):
        raise CATALOGUE.error("bad-place", place=_shown(text))
    address = _in_family(_address(host), option, family)
    if not loopback and _is_here_only(address):
        raise CATALOGUE.error("loopback-address", address=address)
    return Place(host=str(address), port=port, path=_checked_path(f"/{rest}"))


def require_two_places(source: Place, destination: Place) -> None:
    """Refuse to copy something onto itself or into itself, however its
    server's address is written and its connection secured.

    Two addresses of one server cannot be told from two servers here; that is
    seen when both have been asked (:func:`require_two_places_of_one_server`).

    :raises TapekitError: the destination is the source, or a place below it.
    """
    if _server_of(source) == _server_of(destination):
        require_two_places_of_one_server(source, destination)


def require_two_places_of_one_server(source: Place, destination: Place) -> None:
    """Refuse to copy something onto itself or into itself, on a server that
    may have been reached by two addresses.

    :raises TapekitError: as :func:`require_two_places`.
    """
    if source.path == destination.path:
        raise CATALOGUE.error("same-place", place=source)
    if destination.path.startswith(f"{source.path}/"):
        raise CATALOGUE.error("place-within", source=source, destination=destination)


def _server_of(place: Place) -> tuple[_Address, int]:
    address = ipaddress.ip_address(place.host)
    return _mapped(address) or address, place.port


def _mapped(address: _Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that is written as an IPv6 address, if it is one."""
    return address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None


def _address(host: str) -> _Address:
    bare = host.removeprefix("[").removesuffix("]")
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        raise CATALOGUE.error("not-an-address", host=_shown(host)) from None
    is_bracketed = host == f"[{bare}]"
    if isinstance(address, ipaddress.IPv6Address) and not is_bracketed:
        raise CATALOGUE.error("ipv6-needs-brackets", address=_shown(bare))
    if host != bare and (not is_bracketed or isinstance(address, ipaddress.IPv4Address)):
        raise CATALOGUE.error("not-an-address", host=_shown(host))
    return address


def _in_family(address: _Address, option: str, family: Family | None) -> _Address:
    """The address in the mode asked for: a number has one mode, unless it is
    IPv4 written as IPv6.
    """
    mapped = _mapped(address)
    if family is Family.INET and mapped is not None:
        return mapped
    mode = Family.INET if isinstance(address, ipaddress.IPv4Address) else Family.INET6
    if family not in (None, mode):
        raise CATALOGUE.error(
            "other-address-mode", option=option, family=family, address=address, mode=mode
        )
    return address


def _is_here_only(address: _Address) -> bool:
    """Whether an address means this machine to whoever uses it."""
    mapped = _mapped(address)
    return any(each.is_loopback or each.is_unspecified for each in (address, mapped) if each)


def _checked_path(path: str) -> str:
    names = [name for name in path.split("/") if name not in {"", "."}]
    if len(names) < _VOLUME_DEPTH:
        raise _bad_path(path, "it ends before the volume")
    if ".." in names:
        raise _bad_path(path, "it climbs with ..")
    if any(not name.isprintable() for name in names[:_VOLUME_DEPTH]):
        raise _bad_path(path, "its SVM or volume has characters that cannot be printed")
    return "/" + "/".join(names)


def _bad_path(path: str, reason: str) -> TapekitError:
    return CATALOGUE.error("bad-path", path=_shown(path), reason=reason)


def _shown(text: str) -> str:
    """A text for messages, with escapes for what no terminal can show."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
