"""Levels of a volume that moves between them, so that inode numbers are those of other objects."""

from __future__ import annotations

from typing import Any

import pytest

from tapekit.hookspecs.storage import TreeTraits


@pytest.mark.requirement("R272")
@pytest.mark.parametrize("by_token", [False, True], ids=["levels", "tokens"])
def test_nothing_is_known_by_its_inode_number_after_a_move(epochs: Any, by_token: bool) -> None:
    for name in ("one", "other"):
        (epochs.volume / name).write_text(name)
    moves, open_backup = 0, epochs.storage.open_backup

    def opened(*how: Any, **may: Any) -> Any:
        tree = open_backup(*how, **may)
        tree.traits = TreeTraits(moves=moves)
        return tree

    def increment(level: int, before: Any) -> Any:
        token = dict(before.environment).get("DUMP_DATE", "")
        return epochs.back_up(("BASE_DATE", token) if by_token else ("LEVEL", str(level)))

    epochs.storage.open_backup = opened
    full = epochs.back_up(*([("BASE_DATE", "0")] if by_token else []))
    moves = 1
    backup = increment(1, full)
    assert backup.dumped == {b"", b"one", b"other"}
    assert backup.warnings == []
    # What was there is gone, and what is there is new.
    before = {number for path, number in full.paths.items() if path}
    assert before.isdisjoint({number for path, number in backup.paths.items() if path})
    backup = increment(2, backup)
    assert backup.dumped == {b""}
