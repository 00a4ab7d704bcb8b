"""Aliases are in the state store, and nothing else is ever believed."""

from __future__ import annotations

from typing import Any

import pytest

from tapekit.errors import TapekitError
from tapekit.kernel.memory_state import MemoryStateStore
from tapekit_aliases.addresses import parse_address
from tapekit_aliases.naming import AliasNaming


def naming_over(store: Any, *devices: Any) -> AliasNaming:
    naming = AliasNaming()
    naming.settle(store)
    naming.meet(devices, ())
    return naming


@pytest.mark.requirement("R070")
def test_aliases_and_cleared_devices_are_there_after_a_restart(drive_of: Any) -> None:
    store = MemoryStateStore()
    devices = drive_of("8.6", "A"), drive_of("8.7", "B"), drive_of("8.8", "C")
    naming = naming_over(store, *devices)
    book = naming.book.with_alias("st00", parse_address("SN[B]"), devices)
    naming.keep(book.without(["st2"], devices))
    again = naming_over(store, *reversed(devices))
    assert [again.names(device) for device in devices] == [("st0",), ("st00",), ()]
    assert again.book.aliases == naming.book.aliases


def test_what_only_looks_writes_nothing(drive_of: Any) -> None:
    store = MemoryStateStore()
    drive = drive_of("8.6", "A")
    assert naming_over(store, drive).names(drive) == ("st0",)
    assert store.items("aliases") == {}


def test_aliases_that_are_gone_are_gone_from_the_store(drive_of: Any) -> None:
    store = MemoryStateStore()
    drive = drive_of("8.6", "A")
    naming = naming_over(store, drive)
    naming.keep(naming.book)
    naming.keep(naming.book.with_alias("st7", parse_address("SN[A]"), [drive]))
    assert store.items("aliases") == {"name.st7": b"SN[A]"}


def test_a_store_that_cannot_be_written_changes_nothing(drive_of: Any) -> None:
    class FailingStore:
        items = MemoryStateStore().items

        def change(self, namespace: str, values: object) -> None:
            raise OSError("disk full")

    drive = drive_of("8.6", "A")
    naming = naming_over(FailingStore(), drive)
    with pytest.raises(OSError, match="disk full"):
        naming.keep(naming.book.without(["st0"], [drive]))
    assert naming.names(drive) == ("st0",)


@pytest.mark.parametrize(
    ("key", "value"), [("name.st0", b"nothing"), ("name.x", b"SN[A]"), ("name.st0", b"\xff")]
)
def test_what_cannot_be_read_is_told(key: str, value: bytes) -> None:
    store = MemoryStateStore()
    store.change("aliases", {key: value})
    with pytest.raises(TapekitError) as caught:
        naming_over(store)
    assert caught.value.id == "aliases.unreadable"
    assert f'for the key "{key}"' in str(caught.value)


@pytest.mark.requirement("R043")
@pytest.mark.requirement("R070")
async def test_a_device_that_comes_later_gets_an_alias_that_is_kept(drive_of: Any) -> None:
    store = MemoryStateStore()
    first, second = drive_of("8.6", "A"), drive_of("8.7", "B")
    naming = naming_over(store, first)
    await naming.remember(lambda: naming.meet((first, second), ()))
    assert store.items("aliases") == {"name.st0": b"SN[A]", "name.st1": b"SN[B]"}
    assert naming.names(second) == ("st1",)
