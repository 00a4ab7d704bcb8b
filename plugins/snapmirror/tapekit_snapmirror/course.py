"""What is done to two volumes before, and after, a transfer between them.

A transfer makes a Snapshot copy at the source, takes the destination out of
service, and leaves the newest common copy locked on both sides. All calls
block. The one rule: a copy that the next transfer may have to follow is
deleted on neither side before a newer one is on both.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple, final

import msgspec

from tapekit.errors import TapekitError
from tapekit.hookspecs.volume_images import VolumeState, VolumeStyle, VolumeType
from tapekit_snapmirror.choices import base_of_transfer, common_copy, refuse_losses, surplus
from tapekit_snapmirror.errors import CATALOGUE
from tapekit_snapmirror.relationships import LastTransfer, Step, TransferStatus
from tapekit_snapmirror.transfer import ImageWish

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.hookspecs.volume_images import MirrorStorage, SnapshotCopy, VolumeFacts
    from tapekit_snapmirror.relationships import MirrorState, Relationship, Relationships

__all__ = ["Course", "Plan", "require_flexvol"]

_LOG: Final = logging.getLogger("tapekit.snapmirror")


class Plan(NamedTuple):
    """A transfer that may begin."""

    relationship: Relationship
    step: Step
    base: SnapshotCopy | None
    """What it follows; none for a baseline."""
    after: MirrorState
    found: VolumeFacts
    """The destination as it was found."""

    @property
    def newest(self) -> str:
        """Name of the copy that the transfer makes and sends."""
        return f"{self.relationship.prefix}{self.relationship.generation}"

    @property
    def wish(self) -> ImageWish:
        """The image that is sent."""
        relationship = self.relationship
        return ImageWish(
            source=relationship.source,
            destination=relationship.destination,
            newest=self.newest,
            base=None if self.base is None else self.base.identifier,
            set_id=relationship.id,
            holder=relationship.holder,
        )


@final
class Course:
    """The course of transfers, on the volumes of a stack."""

    def __init__(
        self, storage: MirrorStorage, relationships: Relationships, clock: Callable[[], float]
    ) -> None:
        self._storage: Final = storage
        self._relationships: Final = relationships
        self._clock: Final = clock

    def plan(
        self, destination: str, step: Step, *, seeded: bool = False, may_discard: bool = False
    ) -> Plan:
        """Check a transfer, and remember that it begins.

        :param seeded: whether the first transfer is to follow a restored copy.
        :param may_discard: whether a vault may lose copies to a baseline.
        :raises TapekitError: it is not possible now.
        """
        relationship = self._relationships.get(destination)
        after = relationship.after(step)
        self._require_source(relationship)
        found = self._require_destination(relationship, step)
        source = self._storage.snapshot_copies(relationship.source)
        here = self._storage.snapshot_copies(destination)
        common = common_copy(source, here) if found.type is VolumeType.DP else None
        base = base_of_transfer(relationship, step, common, seeded=seeded)
        if base is None:
            refuse_losses(relationship, source, here, may_discard=may_discard)
        begun = msgspec.structs.replace(
            relationship,
            status=TransferStatus.TRANSFERRING,
            step=step,
            generation=relationship.generation + 1,
        )
        return Plan(self._relationships.write(begun), step, base, after, found)

    def begin(self, plan: Plan) -> None:
        """Make the source's copy, and take the destination out of service.

        :raises TapekitError: somebody uses the destination, or a copy cannot
            be made or locked.
        """
        relationship, storage = plan.relationship, self._storage
        storage.create_snapshot(relationship.source, plan.newest, relationship.holder)
        self._lock(relationship, relationship.source, plan.newest)
        destination = relationship.destination
        if storage.volume_facts(destination).type is VolumeType.RW:
            storage.change_type(destination, VolumeType.DP)
        if plan.found.state is not VolumeState.RESTRICTED:
            storage.change_state(destination, VolumeState.RESTRICTED)
        if plan.base is None:
            for copy in storage.snapshot_copies(destination):
                storage.unlock_snapshot(destination, copy.name, relationship.holder)

    def finish(self, plan: Plan, count: int) -> None:
        """Lock what both sides have now, and let go of what was before; the
        engine has brought the destination online.

        :param count: bytes of the stream.
        :raises TapekitError: the lock or the state cannot be written.
        """
        self._lock(plan.relationship, plan.relationship.destination, plan.newest)
        done = msgspec.structs.replace(
            plan.relationship,
            state=plan.after,
            status=TransferStatus.IDLE,
            step=None,
            common=plan.newest,
            last=LastTransfer(step=plan.step, ended_at_s=self._clock(), bytes=count),
        )
        self._relationships.write(done)
        self._clear_away(done, plan.newest)

    def give_up(self, plan: Plan, count: int, reason: str) -> None:
        """Remember why a transfer failed, and give the volumes back as far as
        they are whole.

        :param count: bytes of the stream.
        :raises TapekitError: the state cannot be written.
        """
        relationship = plan.relationship
        last = LastTransfer(step=plan.step, ended_at_s=self._clock(), bytes=count, error=reason)
        failed = msgspec.structs.replace(
            relationship, status=TransferStatus.IDLE, step=None, last=last
        )
        self._relationships.write(failed)
        try:
            self._put_back(plan)
            self._drop_unless_sent(plan)
        except TapekitError as error:
            _LOG.warning("%s: %s", relationship.destination, error.advice)

    def break_off(self, destination: str) -> Relationship:
        """Make a destination a read/write volume.

        :raises TapekitError: it is none that has been transferred to, it is
            in use or not whole, or the state cannot be written.
        """
        relationship = self._relationships.get(destination)
        after = relationship.after(Step.BREAK)
        with self._storage.dumps_suspended(destination):
            facts = self._storage.volume_facts(destination)
            if facts.type is VolumeType.DP:
                self._storage.change_type(destination, VolumeType.RW)
            if facts.state is VolumeState.RESTRICTED:
                self._storage.change_state(destination, VolumeState.ONLINE)
            return self._relationships.write(msgspec.structs.replace(relationship, state=after))

    def delete(self, destination: str) -> None:
        """Forget a relationship, with the copies that it made at its source.
        The destination stays as it is, and its copies can be deleted.

        :raises TapekitError: there is none, or the state cannot be written.
        """
        relationship = self._relationships.get(destination)
        try:
            self._clear_source(relationship, keep=None)
            for copy in self._storage.snapshot_copies(destination):
                self._storage.unlock_snapshot(destination, copy.name, relationship.holder)
        except TapekitError as error:
            # A volume may be gone, which must not keep its relationship alive.
            _LOG.warning("%s: %s", destination, error.advice)
        self._relationships.forget(relationship)

    def settle_interrupted(self) -> None:
        """Tell of transfers that the end of the server has cut; they can be
        repeated.

        :raises TapekitError: the state cannot be read or written.
        """
        for each in self._relationships.all():
            if each.step is None:
                continue
            error = CATALOGUE.error("transfer-interrupted", destination=each.destination)
            last = LastTransfer(
                step=each.step, ended_at_s=self._clock(), bytes=0, error=error.advice
            )
            self._relationships.write(
                msgspec.structs.replace(each, status=TransferStatus.IDLE, step=None, last=last)
            )

    def _require_source(self, relationship: Relationship) -> None:
        facts = self._storage.volume_facts(relationship.source)
        if facts.type is not VolumeType.RW or facts.state is not VolumeState.ONLINE:
            raise CATALOGUE.error(
                "source-not-usable",
                source=facts.path,
                state=facts.state.value,
                type=facts.type.value.upper(),
            )

    def _require_destination(self, relationship: Relationship, step: Step) -> VolumeFacts:
        facts = self._storage.volume_facts(relationship.destination)
        if facts.state is VolumeState.OFFLINE:
            raise CATALOGUE.error("destination-offline", destination=facts.path)
        if facts.type is not VolumeType.DP and step is not Step.RESYNC:
            raise CATALOGUE.error("destination-not-protected", destination=facts.path)
        return facts

    def _lock(self, relationship: Relationship, volume: str, name: str) -> None:
        held = self._storage.hold_snapshot(volume, name, relationship.holder)
        try:
            self._storage.lock_snapshot(volume, name, relationship.holder)
        finally:
            held.close()

    def _put_back(self, plan: Plan) -> None:
        """Bring a destination online that was not changed."""
        destination = plan.relationship.destination
        facts = self._storage.volume_facts(destination)
        was_online = plan.found.state is VolumeState.ONLINE
        if was_online and facts.state is VolumeState.RESTRICTED and facts.is_whole:
            self._storage.change_state(destination, VolumeState.ONLINE)

    def _drop_unless_sent(self, plan: Plan) -> None:
        """Delete the copy that a failed transfer has made, unless it arrived:
        then the next transfer follows it.
        """
        source, destination = plan.relationship.source, plan.relationship.destination
        arrived = {copy.identifier for copy in self._storage.snapshot_copies(destination)}
        for copy in self._storage.snapshot_copies(source):
            if copy.name == plan.newest and copy.identifier not in arrived:
                self._delete(plan.relationship, source, copy.name)

    def _clear_away(self, relationship: Relationship, newest: str) -> None:
        """Delete what no transfer needs any more; what is in use stays until
        after the next transfer.
        """
        destination = relationship.destination
        try:
            self._clear_source(relationship, keep=newest)
            source = self._storage.snapshot_copies(relationship.source)
            here = self._storage.snapshot_copies(destination)
        except TapekitError as error:
            _LOG.warning("%s: %s", destination, error.advice)
            return
        for name in surplus(relationship, source, here):
            self._delete(relationship, destination, name)

    def _clear_source(self, relationship: Relationship, keep: str | None) -> None:
        for copy in self._storage.snapshot_copies(relationship.source):
            if copy.name.startswith(relationship.prefix) and copy.name != keep:
                self._delete(relationship, relationship.source, copy.name)

    def _delete(self, relationship: Relationship, volume: str, name: str) -> None:
        try:
            self._storage.unlock_snapshot(volume, name, relationship.holder)
            self._storage.delete_snapshot(volume, name, relationship.holder)
        except TapekitError as error:
            _LOG.warning("%s", error.advice)


def require_flexvol(facts: VolumeFacts) -> None:
    """Refuse a volume that no image is made of.

    :raises TapekitError: it is a FlexGroup volume.
    """
    if facts.style is VolumeStyle.FLEXGROUP:
        raise CATALOGUE.error("flexgroup-volume", volume=facts.path)
