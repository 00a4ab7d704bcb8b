"""The plugin ``reservations``: wiring."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, ClassVar, Final, final

import trio

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.commands import CommandGroup
from tapekit.hookspecs.lifecycle import Manifest
from tapekit.hookspecs.operations import OptionState
from tapekit_reservations.commands import command_app
from tapekit_reservations.errors import CATALOGUE
from tapekit_reservations.operations import CLEAR, METHOD, SHOW, ReservationRow, Reservations
from tapekit_reservations.reserver import TapeReservations
from tapekit_reservations.settings import Method, ReservationsSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.operations import NoRequest, OfferedOperation, OptionRequest
    from tapekit_reservations.operations import ClearRequest
    from tapekit_tape_devices.hookspecs import Reservations as ReservationsHook

__all__ = ["ReservationsPlugin"]


@final
class ReservationsPlugin:
    """Keeps other systems from the tape devices that are open here."""

    manifest: ClassVar[Manifest] = Manifest(
        name="reservations",
        summary="SCSI and persistent reservations of tape drives and media changers",
        requires=("tape_devices",),
        settings=ReservationsSettings,
    )

    def __init__(self, settings: ReservationsSettings) -> None:
        self._reservations: Final = TapeReservations(settings.method, secrets.token_bytes)
        self._kernel: Kernel | None = None

    @hookimpl
    def tapekit_on_assembled(self, kernel: Kernel) -> None:
        """Meet the state store.

        :raises TapekitError: what it remembers cannot be read.
        """
        self._kernel = kernel
        self._reservations.settle(kernel.state)

    @hookimpl
    def tapekit_provide_reservations(self) -> ReservationsHook:
        """Reserve the devices of ``tape_devices``."""
        return self._reservations

    @hookimpl
    def tapekit_register_operations(self) -> Sequence[OfferedOperation]:
        """Offer the option ``tape.reservations``, and to show and end reservations."""
        return (
            METHOD.performed_by(self._option),
            SHOW.performed_by(self._show),
            CLEAR.performed_by(self._clear),
        )

    @hookimpl
    def tapekit_register_command_groups(self) -> Sequence[CommandGroup]:
        """Offer ``tapekit storage tape reservation``."""
        summary = "Reservations of tape drives and media changers"
        return (CommandGroup("storage tape reservation", summary, command_app(self._settled)),)

    async def _option(self, request: OptionRequest) -> OptionState:
        if request.value is not None:
            await trio.to_thread.run_sync(self._reservations.choose, request.value)
        return OptionState(
            name="tape.reservations",
            value=self._reservations.method.value,
            values=tuple(method.value for method in Method),
        )

    async def _show(self, _request: NoRequest) -> Reservations:
        rows = await trio.to_thread.run_sync(self._reservations.rows)
        return Reservations(
            node=self._settled().node_name,
            method=self._reservations.method.value,
            devices=tuple(rows),
        )

    async def _clear(self, request: ClearRequest) -> ReservationRow:
        present = self._settled().node_name
        if request.node not in {None, "local", present}:
            raise CATALOGUE.error("other-node", node=request.node, present=present)
        return await trio.to_thread.run_sync(self._reservations.clear, request.device)

    def _settled(self) -> Kernel:
        assert self._kernel is not None
        return self._kernel
