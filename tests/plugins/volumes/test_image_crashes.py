"""Processes that are killed in the middle of a restore of an image."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.volume_images import ImageStorage, VolumeState, VolumeType
from tapekit.kernel import assemble, installed

if TYPE_CHECKING:
    from pathlib import Path

VOLUME = "/vs1/vol1"
STACK = """
plugins = ["volumes", "snap_copy", "state_sqlite"]
[[volumes.volume]]
path = "/vs1/vol1"
directory = "vol1"
snapshots = "copy"
type = "dp"
"""

RESTORING = """
import sys
from pathlib import Path
from tapekit.kernel import assemble, installed

kernel = assemble(Path(sys.argv[1]), installed(), clock=lambda: 1000.0)
image = kernel.storage.open_image("/vs1/vol1", "session 1")
for word in sys.argv[2:]:
    if word == "write":
        (image.root / "half").write_bytes(b"half of it")
    elif word == "take":
        image.take("daily", "identifier of daily", 500)
    elif word == "online":
        image.go_online(writable=False)
print("done", flush=True)
sys.stdin.read()
"""


def storage_of(file: Path) -> ImageStorage:
    """A stack as the next process finds it."""
    storage = assemble(file, installed(), clock=lambda: 2000.0).storage
    assert isinstance(storage, ImageStorage)
    return storage


def killed(file: Path, *steps: str) -> None:
    """Restore in a process of its own, which is killed after these steps."""
    command = [sys.executable, "-c", RESTORING, str(file), *steps]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        with pytest.raises(TapekitError):
            storage_of(file).open_image(VOLUME, "another")
        process.kill()


@pytest.fixture
def stack_file(tmp_path: Path) -> Path:
    (tmp_path / "vol1").mkdir()
    file = tmp_path / "tapekit.toml"
    file.write_text(STACK)
    volumes = storage_of(file)
    volumes.states.change(volumes.volume(VOLUME), VolumeState.RESTRICTED)  # type: ignore[attr-defined]  # of this storage
    return file


@pytest.mark.parametrize(
    ("steps", "is_whole", "copies"),
    [
        ((), True, []),
        (("write",), False, []),
        (("take",), False, ["daily"]),
        (("write", "take"), False, ["daily"]),
    ],
    ids=["looked", "wrote", "took", "wrote and took"],
)
def test_what_a_killed_restore_leaves_is_restricted(
    stack_file: Path, steps: tuple[str, ...], is_whole: bool, copies: list[str]
) -> None:
    killed(stack_file, *steps)
    storage = storage_of(stack_file)
    facts = storage.volume_facts(VOLUME)
    assert (facts.state, facts.type, facts.is_whole) == (
        VolumeState.RESTRICTED,
        VolumeType.DP,
        is_whole,
    )
    assert [copy.name for copy in storage.snapshot_copies(VOLUME)] == copies
    image = storage.open_image(VOLUME, "session 2")
    for copy in image.copies():
        assert (copy.identifier, copy.created_at_s) == ("identifier of daily", 500)
        image.forget(copy.name)
    image.go_online(writable=False)
    assert storage_of(stack_file).volume_facts(VOLUME).is_whole


def test_what_is_online_stays_so(stack_file: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-c", RESTORING, str(stack_file), "write", "take", "online"],
        stdin=subprocess.DEVNULL,
        check=True,
    )
    assert process.returncode == 0
    facts = storage_of(stack_file).volume_facts(VOLUME)
    assert (facts.state, facts.is_whole) == (VolumeState.ONLINE, True)
