"""What an administrator may set for the SCSI devices of this host."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct, field

__all__ = ["ScsiSgSettings"]

_ADDRESS: Final = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", re.ASCII)
_FABRIC: Final = re.compile(r"[0-9a-f]{16}/[0-9]{1,3}", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


class ScsiSgSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table ``[scsi_sg]`` of a stack file."""

    needs_lun_0: bool = True
    """Whether the devices of a target count only if a drive or a changer is its
    LUN 0. Off for bridges and emulations that have something else there."""

    adapters: dict[str, str] = field(default_factory=dict)
    """Names of adapters in physical path names, by PCI address, such as
    "0000:03:00.0" = "5c"; without one it is the slot and the port, such as 5a."""

    switches: dict[str, str] = field(default_factory=dict)
    """Names of Fibre Channel switches in physical path names, by fabric and
    domain, such as "100000051e0a1b2c/2" = "MY_SWITCH"."""

    def __post_init__(self) -> None:
        """Refuse names that could not be read back."""
        for what, names, form in (
            ("adapters", self.adapters, _ADDRESS),
            ("switches", self.switches, _FABRIC),
        ):
            for key, name in names.items():
                if not form.fullmatch(key):
                    example = "0000:03:00.0" if form is _ADDRESS else "100000051e0a1b2c/2"
                    raise ValueError(f"{what}: {key} is not of the form {example}")
                if not _NAME.fullmatch(name):
                    raise ValueError(
                        f"{what}: the name {name} has other characters than letters, digits, "
                        "- and _"
                    )
            if len(set(names.values())) != len(names):
                raise ValueError(f"{what}: two have the same name")
