"""The engine keeps the contract that every data engine keeps."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.data_engine import Selection
from tapekit.kernel import StackKernel, assemble, installed
from tapekit.testing import EngineTrial, MemoryRanges, MemoryServices, check_data_engine

STACK = """
plugins = ["flatfiles", "volumes"]

[[volumes.volume]]
path = "/vs1/source"
directory = "source"

[[volumes.volume]]
path = "/vs1/target"
directory = "target"
"""


def stack(folder: Path) -> StackKernel:
    """Two volumes in a folder, the first one with files."""
    for volume in ("source", "target"):
        (folder / volume).mkdir(parents=True)
    for number in range(64):
        (folder / "source" / f"file {number}").write_bytes(os.urandom(number << 11))
    (folder / "source" / ".empty").touch()
    file = folder / "tapekit.toml"
    file.write_text(STACK)
    return assemble(file, installed(), clock=lambda: 0.0, is_to_serve=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_the_engine_keeps_the_contract(tmp_path: Path) -> None:
    folders = (tmp_path / str(number) for number in range(1000))

    def trial() -> EngineTrial:
        folder = next(folders)

        def compare() -> None:
            assert contents(folder / "target") == contents(folder / "source")

        return EngineTrial(
            engine=stack(folder).engines["flatfiles"],
            backup=[("FILESYSTEM", "/vs1/source")],
            recover=[("FILESYSTEM", "/vs1/target")],
            selections=[],
            refused=[("FILESYSTEM", "/vs1/source"), ("HIDDEN", "perhaps")],
            compare=compare,
        )

    check_data_engine(trial)


def restored(name: bytes, folder: Path) -> Callable[[], None]:
    """Restores a stream with one file of this name."""
    stream = len(name).to_bytes(2) + (1).to_bytes(8) + name + b"!" + bytes(10)
    job = (
        stack(folder)
        .engines["flatfiles"]
        .prepare_recover([], [Selection("", "/vs1/target", "", "", 0, 0)], "a test")
    )
    return lambda: job.run(MemoryRanges(stream), MemoryServices())


@pytest.mark.parametrize("name", [b"../escaped", b"..", b"a\0b"])
def test_no_name_leads_out_of_the_destination(name: bytes, tmp_path: Path) -> None:
    with pytest.raises(TapekitError, match="is no name"):
        restored(name, tmp_path)()
    assert contents(tmp_path / "target") == {}


def test_a_link_in_the_way_is_replaced_and_not_followed(tmp_path: Path) -> None:
    restore = restored(b"link", tmp_path)
    (tmp_path / "outside").write_text("kept")
    (tmp_path / "target" / "link").symlink_to("../outside")
    restore()
    assert (tmp_path / "outside").read_text() == "kept"
    assert contents(tmp_path / "target") == {"link": b"!"}


def test_a_file_that_cannot_be_made_is_named_and_the_rest_is_there(tmp_path: Path) -> None:
    restore = restored(b"name", tmp_path)
    (tmp_path / "target" / "name").mkdir()
    with pytest.raises(TapekitError, match="1 files could not be restored, such as name: Is a dir"):
        restore()
