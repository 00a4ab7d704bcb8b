"""Which kinds of data connection a copy tries.

What the options say wins; else an IPv6 address of either control connection
makes the data connection IPv6 as well; else IPv6 is tried before IPv4. The
one rule: a kind that one of the servers does not offer is never asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekit_ndmp_v4.numbers import AddrType
from tapekit_ndmpcopy.errors import CATALOGUE
from tapekit_ndmpcopy.places import Family

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["common_kinds", "wanted_families"]

_KINDS: Final = {Family.INET: AddrType.TCP, Family.INET6: AddrType.TCP_IPV6}


def wanted_families(
    asked: Family | None, source: Family, destination: Family
) -> tuple[Family, ...]:
    """The address modes to try for data, in order.

    :param asked: what the option ``-md`` says.
    :param source: the mode of the control connection to the source.
    :param destination: that of the one to the destination.
    """
    if asked is not None:
        return (asked,)
    if Family.INET6 in (source, destination):
        return (Family.INET6,)
    return (Family.INET6, Family.INET)


def common_kinds(
    families: tuple[Family, ...], offers: Mapping[str, Collection[int]]
) -> tuple[AddrType, ...]:
    """The kinds of data connection that every side offers.

    :param offers: kinds by the name of the side.
    :raises TapekitError: there is none of these families; names a side.
    """
    kinds = tuple(_KINDS[family] for family in families)
    common = tuple(kind for kind in kinds if all(kind in offer for offer in offers.values()))
    if common:
        return common
    last = kinds[-1]
    side = next(side for side, offer in offers.items() if last not in offer)
    raise CATALOGUE.error(
        "address-mode-not-offered", side=side, wanted=last.name, offered=_words(offers[side])
    )


def _words(kinds: Collection[int]) -> str:
    names = [kind.name if isinstance(kind, AddrType) else hex(kind) for kind in sorted(kinds)]
    return ", ".join(names) or "none"
