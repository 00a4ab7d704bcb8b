"""The qualification table: which drives may be used, and on whose word.

A drive is looked up by its vendor and product. An administrator's file wins
over one that comes with tapekit, and a longer match over a shorter one. The
one rule: a drive that no file has is nonqualified, unless the administrator
has said which qualified drive it emulates.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit_qualification.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tapekit_qualification.configuration import TapeConfiguration
    from tapekit_qualification.settings import EmulationSettings

__all__ = ["Judgement", "QualificationTable", "Standing", "TableEntry"]


class Standing(enum.Enum):
    """What a drive counts as, in the words of listings."""

    QUALIFIED = "Qualified"
    DYNAMICALLY_QUALIFIED = "Dynamically Qualified"
    NONQUALIFIED = "Nonqualified tape drive"


class TableEntry(NamedTuple):
    """A model of drive that may be used."""

    configuration: TapeConfiguration
    standing: Standing
    file: str


class Judgement(NamedTuple):
    """What the table says of one drive."""

    name: str
    """What listings call the drive."""
    standing: Standing
    configuration: TapeConfiguration | None
    """``None`` for a nonqualified drive."""
    emulates: str
    """The name of the model that the drive emulates, or empty."""


@final
class QualificationTable:
    """The models of all files, and what drives of an administrator emulate."""

    def __init__(
        self, entries: Iterable[TableEntry], emulations: Iterable[EmulationSettings] = ()
    ) -> None:
        """:raises TapekitError: an emulated drive is not in the table, or a
        drive emulates two.
        """
        by_key: dict[tuple[str, str], TableEntry] = {}
        for entry in entries:
            # What comes later is the administrator's.
            by_key[entry.configuration.key] = entry
        self._entries: Final = tuple(by_key.values())
        self._emulated: Final = self._emulations(emulations)

    @property
    def entries(self) -> Sequence[TableEntry]:
        """The models, by the names that listings give them."""
        return sorted(self._entries, key=lambda entry: entry.configuration.name.casefold())

    def judge(self, vendor: str, product: str) -> Judgement:
        """What a drive counts as that calls itself so."""
        entry = self._find(vendor, product)
        if entry is not None:
            name = entry.configuration.name_of(vendor, product)
            return Judgement(name, entry.standing, entry.configuration, "")
        name = f"{vendor} {product}"
        entry = self._emulated.get((vendor.rstrip(), product.rstrip()))
        if entry is not None:
            model = entry.configuration.name
            return Judgement(name, entry.standing, entry.configuration, model)
        return Judgement(name, Standing.NONQUALIFIED, None, "")

    def _find(self, vendor: str, product: str) -> TableEntry | None:
        matching = [one for one in self._entries if one.configuration.matches(vendor, product)]
        return max(matching, key=_weight, default=None)

    def _emulations(
        self, emulations: Iterable[EmulationSettings]
    ) -> dict[tuple[str, str], TableEntry]:
        found: dict[tuple[str, str], TableEntry] = {}
        for one in emulations:
            entry = self._find(one.as_vendor, one.as_product)
            if entry is None:
                raise CATALOGUE.error(
                    "nothing-to-emulate",
                    vendor=one.vendor,
                    product=one.product,
                    as_vendor=one.as_vendor,
                    as_product=one.as_product,
                )
            if found.setdefault((one.vendor.rstrip(), one.product.rstrip()), entry) is not entry:
                raise CATALOGUE.error("emulated-twice", vendor=one.vendor, product=one.product)
        return found


def _weight(entry: TableEntry) -> tuple[bool, int]:
    is_administrators = entry.standing is Standing.DYNAMICALLY_QUALIFIED
    return is_administrators, entry.configuration.id_match_size
