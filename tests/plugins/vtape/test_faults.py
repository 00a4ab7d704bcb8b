"""A fault that could never strike is refused."""

from __future__ import annotations

import msgspec
import pytest

from tapekit_vtape.faults import DeviceFault, FaultKind

NEEDS = {
    FaultKind.EARLY_WARNING: {"byte": 5},
    FaultKind.END_OF_MEDIUM: {"byte": 5},
    FaultKind.TORN_WRITE: {"byte": 5},
    FaultKind.SLOW: {"bytes_per_second": 1 << 18},
}


@pytest.mark.parametrize("kind", FaultKind)
def test_each_kind_can_be_said_in_a_stack_file(kind: FaultKind) -> None:
    fields = {"kind": kind.value, **NEEDS.get(kind, {})}
    fault = msgspec.convert(fields, DeviceFault)
    assert fault.kind is kind
    assert msgspec.to_builtins(fault) == fields


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "fire"}, "Invalid enum value 'fire'"),
        ({}, "missing required field `kind`"),
        ({"kind": "jam", "drive": 0}, "a fault of the kind jam has no drive"),
        ({"kind": "cleaning", "cartridge": "A"}, "cleaning has no cartridge"),
        ({"kind": "write-error", "after": 2}, "write-error has no after"),
        ({"kind": "not-ready", "record": 0}, "not-ready has no record"),
        ({"kind": "end-of-medium"}, "end-of-medium needs byte"),
        ({"kind": "slow"}, "slow needs bytes_per_second"),
        ({"kind": "slow", "bytes_per_second": 1}, "bytes_per_second"),
        ({"kind": "not-ready", "times": 0}, "times"),
        ({"kind": "read-error", "record": -1}, "record"),
        ({"kind": "read-error", "block": 1}, "unknown field `block`"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.convert(fields, DeviceFault)
