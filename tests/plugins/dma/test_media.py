"""What the catalogue says may be done with a cartridge."""

from __future__ import annotations

import pytest

from tapekit_dma.media import room_on
from tapekit_dma.records import Cartridge

NONE: frozenset[int] = frozenset()


def cartridge(
    *,
    label: str | None = "x",
    next_label: str | None = None,
    next_file: int = 1,
    is_full: bool = False,
    complaint: str = "",
) -> Cartridge:
    return Cartridge(
        barcode="A1",
        media_set="weekly",
        label=label,
        next_label=next_label,
        next_file=next_file,
        is_full=is_full,
        complaint=complaint,
    )


@pytest.mark.parametrize(
    ("known", "there", "present", "word"),
    [
        (cartridge(label=None), NONE, NONE, "new"),
        (cartridge(), NONE, NONE, "empty"),
        (cartridge(next_file=2), frozenset({1}), frozenset({1}), "open"),
        (cartridge(next_file=2, is_full=True), frozenset({1}), frozenset({1}), "full"),
        (cartridge(next_file=2), frozenset({1}), NONE, "expired"),
        (cartridge(next_file=2), NONE, NONE, "expired"),
        (cartridge(is_full=True), NONE, NONE, "expired"),
        (cartridge(next_label="y"), NONE, NONE, "expired"),
        (cartridge(complaint="of something"), frozenset({1}), NONE, "suspect"),
    ],
)
def test_a_cartridge_begins_anew_only_when_nothing_on_it_is_kept(
    known: Cartridge, there: frozenset[int], present: frozenset[int], word: str
) -> None:
    room = room_on(known, there, present)
    assert room.word == word
    assert room.begins_anew == (word in {"new", "expired"})
    assert set(room.forgotten) == (there if word == "expired" else NONE)
