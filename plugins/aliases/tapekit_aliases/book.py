"""The aliases of a node, as a value: which name is bound to what.

A book never changes; setting, clearing and naming new devices make another
one. It also remembers the devices whose aliases were cleared, which get no
new ones by themselves. The one rule: a device that is attached has one alias
at most for each way in which something is bound to it.
"""

from __future__ import annotations

import enum
import re
from itertools import count
from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.tape_driver import DriveDescription
from tapekit_aliases.addresses import SerialNumber, addresses_of
from tapekit_aliases.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tapekit_aliases.addresses import Address
    from tapekit_tape_devices.hookspecs import Device

__all__ = ["AliasBook", "Kind", "check_name", "kind_of"]

_NAME: Final = re.compile("(st|mc)[0-9]{1,9}", re.ASCII)

_MISREAD: Final = {"mcl": "mc1"}
"""A letter that printed examples have for a digit."""


class Kind(enum.Enum):
    """What a device is; the values are the scopes in which aliases are cleared."""

    TAPE = "tape"
    MEDIA_CHANGER = "media-changer"

    @property
    def prefix(self) -> str:
        """How the aliases of its devices begin."""
        return "st" if self is Kind.TAPE else "mc"

    @classmethod
    def of_name(cls, name: str) -> Kind:
        """The kind of device that an alias can be of."""
        return cls.TAPE if name.startswith("st") else cls.MEDIA_CHANGER


def kind_of(device: Device) -> Kind:
    """What a device is."""
    return Kind.TAPE if isinstance(device, DriveDescription) else Kind.MEDIA_CHANGER


def check_name(name: str) -> str:
    """An alias as it is kept; leading zeros count.

    :raises TapekitError: it is none.
    """
    name = _MISREAD.get(name, name)
    if _NAME.fullmatch(name) is None:
        raise CATALOGUE.error("bad-alias", alias=name)
    return name


@final
class AliasBook:
    """Aliases by name, and the devices whose aliases were cleared."""

    def __init__(self, aliases: Mapping[str, Address], cleared: Iterable[str] = ()) -> None:
        """:param cleared: keys of addresses."""
        self.aliases: Final = dict(sorted(aliases.items(), key=_order))
        self.cleared: Final = frozenset(cleared)
        self._names: Final[dict[tuple[Kind, str], list[str]]] = {}
        for name, address in self.aliases.items():
            self._names.setdefault((Kind.of_name(name), address.key), []).append(name)

    def names(self, device: Device) -> tuple[str, ...]:
        """The aliases that lead to a device, those of its serial number first."""
        kind = kind_of(device)
        return tuple(
            name
            for address in addresses_of(device)
            for name in self._names.get((kind, address.key), ())
        )

    def with_new(self, devices: Iterable[Device]) -> AliasBook:
        """The book in which every device has an alias, but for those whose
        aliases were cleared.
        """
        book = self
        for device in devices:
            first, *_ = addresses = addresses_of(device)
            if book.names(device) or any(one.key in book.cleared for one in addresses):
                continue
            name = _free(kind_of(device), book.aliases)
            book = AliasBook({**book.aliases, name: first}, book.cleared)
        return book

    def with_alias(self, name: str, address: Address, devices: Sequence[Device]) -> AliasBook:
        """The book in which an alias is bound to something; whatever other
        aliases that had are gone.

        :param devices: what is attached.
        :raises TapekitError: the alias leads to another device that is
            attached, or what is bound is not of its kind.
        """
        kind = Kind.of_name(name)
        meant = list(_reached(address, devices))
        if meant and all(kind_of(device) is not kind for device in meant):
            raise CATALOGUE.error(
                "wrong-kind", alias=name, mapping=address, kind=kind_of(meant[0]).value
            )
        meant = [device for device in meant if kind_of(device) is kind]
        self._refuse_taken(name, address, devices)
        others = {other for device in meant for other in self.names(device)}
        others.update(self._names.get((kind, address.key), ()))
        kept = {one: bound for one, bound in self.aliases.items() if one not in others}
        freed = {address.key, *(one.key for device in meant for one in addresses_of(device))}
        return AliasBook({**kept, name: address}, self.cleared - freed)

    def _refuse_taken(self, name: str, address: Address, devices: Sequence[Device]) -> None:
        present = self.aliases.get(name)
        if present is None:
            return
        holders = [one for one in devices if name in self.names(one)]
        if any(address.key not in _keys(one) for one in holders):
            raise CATALOGUE.error(
                "alias-taken",
                alias=name,
                mapping=present,
                device=holders[0].physical_path,
            )

    def without(self, names: Iterable[str], devices: Sequence[Device]) -> AliasBook:
        """The book without some aliases; their devices stay without.

        :param devices: what is attached.
        :raises TapekitError: there is no such alias.
        """
        kept, cleared = dict(self.aliases), set(self.cleared)
        for name in names:
            address = kept.pop(name, None)
            if address is None:
                raise CATALOGUE.error("no-such-alias", alias=name)
            if isinstance(address, SerialNumber):
                cleared.add(address.key)
            # Of a place, the device that is there now; not its successors.
            cleared.update(addresses_of(one)[0].key for one in devices if name in self.names(one))
        return AliasBook(kept, cleared)


def _reached(address: Address, devices: Iterable[Device]) -> Iterator[Device]:
    return (device for device in devices if address.key in _keys(device))


def _keys(device: Device) -> set[str]:
    return {address.key for address in addresses_of(device)}


def _free(kind: Kind, taken: Mapping[str, object]) -> str:
    names = (f"{kind.prefix}{number}" for number in count())
    return next(name for name in names if name not in taken)


def _order(item: tuple[str, Address]) -> tuple[str, int, str]:
    """Drives and changers apart, and both as one counts."""
    name = item[0]
    return name[:2], int(name[2:]), name
