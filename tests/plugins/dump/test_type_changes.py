"""Levels of a volume that turns read-only or read/write between them."""

from __future__ import annotations

from typing import Any

import pytest

from tapekit.hookspecs.storage import TreeTraits


@pytest.mark.requirement("R266")
@pytest.mark.requirement("R274")
@pytest.mark.parametrize("by_token", [False, True], ids=["levels", "tokens"])
def test_a_volume_whose_type_has_changed_is_backed_up_in_full(epochs: Any, by_token: bool) -> None:
    (epochs.volume / "file").touch()
    changes, open_backup = 0, epochs.storage.open_backup

    def opened(*how: Any, **may: Any) -> Any:
        tree = open_backup(*how, **may)
        tree.traits = TreeTraits(type_changes=changes)
        return tree

    def increment(level: int, before: Any) -> Any:
        token = dict(before.environment).get("DUMP_DATE", "")
        return epochs.back_up(("BASE_DATE", token) if by_token else ("LEVEL", str(level)))

    epochs.storage.open_backup = opened
    backup = epochs.back_up(*([("BASE_DATE", "0")] if by_token else []))
    backup = increment(1, backup)
    assert backup.dumped == {b""}
    changes = 1
    backup = increment(2, backup)
    assert backup.dumped == {b"", b"file"}
    (warning,) = backup.warnings
    assert "has become read-only or read/write since" in warning
    backup = increment(3, backup)
    assert (backup.dumped, backup.warnings) == ({b""}, [])
