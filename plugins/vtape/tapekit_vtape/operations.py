"""What an administrator can ask of the virtual devices of a running stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tapekit.hookspecs.operations import NoRequest, Operation, Privilege
from tapekit_vtape.fault_board import ArmedFault
from tapekit_vtape.faults import DeviceFault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.operations import OfferedOperation
    from tapekit_vtape.driver import VtapeDriver

__all__ = [
    "FAULTS",
    "FAULT_ADD",
    "FAULT_CLEAR",
    "Cleared",
    "FaultChoice",
    "Faults",
    "offered",
]


class Faults(msgspec.Struct, frozen=True):
    """The faults that are armed."""

    faults: tuple[ArmedFault, ...]


class FaultChoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which faults are meant."""

    number: int | None = None
    """One; without it all."""


class Cleared(msgspec.Struct, frozen=True):
    """Faults that are gone."""

    numbers: tuple[int, ...]


FAULT_ADD: Final = Operation(
    name="vtape.fault-add",
    summary="Have a virtual drive or changer fail on cue",
    request=DeviceFault,
    reply=ArmedFault,
    privilege=Privilege.ADVANCED,
)
FAULTS: Final = Operation(
    name="vtape.faults",
    summary="Show the faults of virtual devices",
    request=NoRequest,
    reply=Faults,
)
FAULT_CLEAR: Final = Operation(
    name="vtape.fault-clear",
    summary="Let virtual devices work again",
    request=FaultChoice,
    reply=Cleared,
)


def offered(driver: VtapeDriver) -> Sequence[OfferedOperation]:
    """The operations as the devices of a driver perform them."""

    async def add(fault: DeviceFault) -> ArmedFault:
        return driver.arm(fault)

    async def tell(_request: NoRequest) -> Faults:
        return Faults(tuple(driver.faults.rows()))

    async def clear(choice: FaultChoice) -> Cleared:
        return Cleared(tuple(driver.faults.clear(choice.number)))

    return (
        FAULT_ADD.performed_by(add),
        FAULTS.performed_by(tell),
        FAULT_CLEAR.performed_by(clear),
    )
