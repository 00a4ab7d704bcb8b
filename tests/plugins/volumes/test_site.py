from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import msgspec
import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.lifecycle import InitSite
from tapekit_volumes.site import first_volume

if TYPE_CHECKING:
    from pathlib import Path


def test_a_new_site_has_a_volume_with_copies(tmp_path: Path) -> None:
    part = first_volume(InitSite(directory=tmp_path, host="127.0.0.1", port=10000))
    assert (tmp_path / "volumes" / "vs1" / "vol1").is_dir()
    table = tomllib.loads("[volumes]\n" + part.settings)
    assert table == {
        "volumes": {
            "volume": [{"path": "/vs1/vol1", "directory": "volumes/vs1/vol1", "snapshots": "copy"}]
        }
    }
    assert '"none"' in part.settings
    assert part.created == ("volume /vs1/vol1 in volumes/vs1/vol1",)
    assert msgspec.to_builtins(part)["next_steps"]


def test_files_that_are_there_stay(tmp_path: Path) -> None:
    site = InitSite(directory=tmp_path, host="127.0.0.1", port=10000)
    first_volume(site)
    (tmp_path / "volumes" / "vs1" / "vol1" / "file").write_bytes(b"kept")
    first_volume(site)
    assert (tmp_path / "volumes" / "vs1" / "vol1" / "file").read_bytes() == b"kept"


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "volumes").write_bytes(b"in the way")
    with pytest.raises(TapekitError, match="vol1 for a volume cannot be made: Not a directory"):
        first_volume(InitSite(directory=tmp_path, host="127.0.0.1", port=10000))
