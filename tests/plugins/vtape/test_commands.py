"""``tapekit vtape``: what an operator does, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from tapekit.errors import TapekitError
from tapekit_vtape.commands import barcodes, command_app, new_serial
from tapekit_vtape.driver import VtapeDriver
from tapekit_vtape.settings import VtapeSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tapekit.hookspecs.operations import Management


def nobody() -> Management:
    """No stack runs."""
    raise AssertionError("the command asks a running stack")


@pytest.fixture
def run(robot: Any) -> Callable[..., str]:
    """Runs a command; its output, or the error that the shell would show."""

    def call(*words: str) -> str:
        result = CliRunner().invoke(command_app(robot.driver.of, nobody), words)
        if result.exception is not None:
            raise result.exception
        return str(result.output)

    return call


def refused(run: Callable[..., str], *words: str) -> str:
    with pytest.raises(TapekitError) as caught:
        run(*words)
    return caught.value.explained


def write_two_files(robot: Any) -> str:
    drive = robot.fresh()
    drive.write_records([memoryview(b"first file" * 300_000)], 10_000)
    drive.write_filemarks(1)
    drive.write_records([memoryview(b"second")], 6)
    drive.close()
    barcode, _ = robot.library.state().inserted(0)
    return str(barcode)


def test_names_of_a_new_library() -> None:
    assert barcodes(2) == ["VT0001", "VT0002"]
    assert new_serial() != new_serial()


def test_init_makes_a_library(tmp_path: Path) -> None:
    driver = VtapeDriver(VtapeSettings(directory=f"{tmp_path}/new"))
    library = driver.library
    app = command_app(driver.of, nobody)
    result = CliRunner().invoke(app, ["init", "--cartridges", "3"])
    assert result.output == f"made {tmp_path}/new with 3 cartridges\n"
    assert list(library.state().cartridges) == ["VT0001", "VT0002", "VT0003"]


def test_init_fills_a_small_library_and_no_mail_slot(tmp_path: Path) -> None:
    driver = VtapeDriver(VtapeSettings(directory=f"{tmp_path}/new", slots=4, mail_slots=2))
    app = command_app(driver.of, nobody)
    result = CliRunner().invoke(app, ["init", "--cartridges", "5"])
    assert isinstance(result.exception, TapekitError)
    assert str(result.exception) == "5 cartridges do not fit into 4 slots"
    assert not (tmp_path / "new").exists()
    assert CliRunner().invoke(app, ["init"]).output == f"made {tmp_path}/new with 4 cartridges\n"
    assert [place.slot for place in driver.library.state().cartridges.values()] == [0, 1, 2, 3]


def test_no_cartridge_is_made_too_small_to_be_one(robot: Any) -> None:
    app = command_app(robot.driver.of, nobody)
    result = CliRunner().invoke(app, ["create", "A1", "--capacity-bytes", "1048575"])
    assert result.exit_code == 2
    assert "1048576" in result.output
    assert robot.library.state().cartridges == {}


def test_create_list_load_unload_and_move(robot: Any, run: Callable[..., str]) -> None:
    assert run("create", "A1", "--capacity-bytes", "5000000") == "made A1 in slot 0\n"
    assert run("create", "A2", "--slot", "5", "--early-warning-bytes", "0") == "made A2 in slot 5\n"
    assert run("load", "1", "A2") == "A2 is in drive 1\n"
    assert [line.split()[:3] for line in run("list").splitlines()[1:]] == [
        ["A1", "slot", "0"],
        ["A2", "drive", "1"],
    ]
    rows = json.loads(run("list", "--json"))
    assert [(row["barcode"], row["drive"], row["capacity_bytes"]) for row in rows] == [
        ("A1", None, 5_000_000),
        ("A2", 1, 10 << 30),
    ]
    assert run("unload", "1") == "A2 is in slot 5\n"
    assert run("move", "A2", "7") == "A2 is in slot 7\n"
    assert run("move", "A2", "shelf") == "A2 is on the shelf\n"
    assert "tapekit vtape move A2 SLOT" in refused(run, "load", "1", "A2")
    assert '"attic" is no place' in refused(run, "move", "A2", "attic")
    robot.insert_new()
    assert "tapekit vtape unload 0" in refused(run, "load", "0", "A1")


def test_protection_is_turned_on_and_off(robot: Any, run: Callable[..., str]) -> None:
    run("create", "A1")
    assert run("protect", "A1") == "A1 is write protected\n"
    assert robot.library.is_protected("A1")
    assert run("unprotect", "A1") == "A1 can be written\n"
    (robot.library.folder("A1") / "payload").chmod(0o400)
    assert "chmod u+w" in refused(run, "unprotect", "A1")


def test_a_tape_file_is_exported(robot: Any, run: Callable[..., str], tmp_path: Path) -> None:
    barcode = write_two_files(robot)
    out = tmp_path / "out"
    run("export", barcode, "--file", "0", "-o", str(out))
    assert out.read_bytes() == b"first file" * 300_000
    assert run("export", barcode, "--file", "1", "-o", "-") == "second"
    assert f"{barcode} has no tape file 2; it has 2" in refused(
        run, "export", barcode, "--file", "2", "-o", "-"
    )
    assert "Is a directory" in refused(run, "export", barcode, "--file", "0", "-o", str(tmp_path))


def test_a_cartridge_in_use_is_not_exported(robot: Any, run: Callable[..., str]) -> None:
    barcode = write_two_files(robot)
    drive = robot.open()
    drive.status()
    assert "is in use" in refused(run, "export", barcode, "--file", "0", "-o", "-")
    drive.close()


def test_a_good_cartridge_is_verified(robot: Any, run: Callable[..., str]) -> None:
    barcode = write_two_files(robot)
    assert run("verify", barcode) == (
        f"{barcode} can be read: 301 records, 1 filemarks, 3000006 bytes\n"
    )
    assert json.loads(run("verify", barcode, "--json")) == {
        "barcode": barcode,
        "records": 301,
        "filemarks": 1,
        "bytes": 3000006,
    }


def test_verifying_reads_beside_other_readers(robot: Any, run: Callable[..., str]) -> None:
    barcode = write_two_files(robot)
    reader = robot.library.open_cartridge(barcode, shared=True)
    assert "can be read" in run("verify", barcode)
    assert "is in use" in refused(run, "verify", barcode, "--repair")
    reader.close()


def test_a_damaged_cartridge_is_told_and_repaired(robot: Any, run: Callable[..., str]) -> None:
    barcode = write_two_files(robot)
    index = robot.library.folder(barcode) / "index"
    data = bytearray(index.read_bytes())
    data[128 + 32] ^= 1
    index.write_bytes(data)
    told = refused(run, "verify", barcode)
    assert "the index is damaged at its entry 1" in told
    assert f"verify --repair {barcode}" in told
    assert "damaged" in refused(run, "export", barcode, "--file", "1", "-o", "-")
    assert "300 records" in run("verify", barcode, "--repair")
    assert "300 records" in run("verify", barcode)


def test_no_arguments_show_the_help(run: Callable[..., str]) -> None:
    app = command_app(lambda *_: None, nobody)  # type: ignore[arg-type, return-value] # never asked
    result = CliRunner().invoke(app, [])
    for command in (
        "init",
        "list",
        "inventory",
        "create",
        "load",
        "unload",
        "move",
        "export",
        "verify",
    ):
        assert command in result.output


def test_the_inventory_is_what_the_changer_tells(robot_in: Any, tmp_path: Path) -> None:
    robot = robot_in(tmp_path, slots=2, mail_slots=1)
    robot.library.create_cartridge("A")
    robot.library.create_cartridge("B")
    robot.library.load(0, "A")
    robot.library.move("B", 2)
    drive = robot.open()
    drive.rewind()
    app = command_app(robot.driver.of, nobody)
    lines = CliRunner().invoke(app, ["inventory"]).output.splitlines()
    assert [line.split() for line in lines] == [
        ["element", "address", "cartridge", "state"],
        ["arm", "0"],
        ["slot", "0", "1024"],
        ["slot", "1", "1025"],
        ["mail", "slot", "2", "16", "B"],
        ["drive", "0", "256", "A", "from", "1024,", "in", "use"],
        ["drive", "1", "257"],
    ]
    rows = json.loads(CliRunner().invoke(app, ["inventory", "--json"]).output)
    assert rows[-2]["volume_tag"] == "A"
    assert rows[-2]["is_accessible"] is False
    drive.close()


def test_devices_are_turned_off_and_on(robot: Any, run: Callable[..., str]) -> None:
    assert run("power-cycle") == "the devices have been turned off and on\n"
    book = robot.driver.of().library.reservations
    assert [book.state(device).resets for device in ("changer", "drive-0")] == [1, 1]


def test_changes_answer_in_json_with_the_cartridge_as_it_is_listed(
    run: Callable[..., str], robot: Any
) -> None:
    def told(*words: str) -> tuple[object, ...]:
        row = json.loads(run(*words, "--json"))
        assert row in json.loads(run("list", "--json"))
        return tuple(row[key] for key in ("barcode", "slot", "drive", "is_write_protected"))

    robot.empty()
    assert told("create", "NEW001", "--slot", "6") == ("NEW001", 6, None, False)
    assert told("protect", "NEW001") == ("NEW001", 6, None, True)
    assert told("unprotect", "NEW001") == ("NEW001", 6, None, False)
    assert told("load", "0", "NEW001") == ("NEW001", 6, 0, False)
    assert told("unload", "0") == ("NEW001", 6, None, False)
    assert told("move", "NEW001", "shelf") == ("NEW001", None, None, False)
