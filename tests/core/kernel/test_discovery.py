from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.lifecycle import Manifest
from tapekit.kernel.discovery import Available, installed

if TYPE_CHECKING:
    from pathlib import Path

PLUGIN = """
from tapekit.hookspecs.lifecycle import Manifest

class Plugin:
    manifest = Manifest(name={name!r}, summary="for a test")

    def __init__(self, settings):
        pass
"""


def distribution(folder: Path, name: str, *plugins: str) -> None:
    """Install plugins as packages with one module each, imported by nobody."""
    info = folder / f"{name}-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
    lines = []
    for plugin in plugins:
        package = f"{name}_{plugin}".replace("-", "_")
        (folder / package).mkdir()
        (folder / package / "__init__.py").touch()
        (folder / package / "plugin.py").write_text(PLUGIN.format(name=plugin))
        lines.append(f"{plugin} = {package}.plugin:Plugin\n")
    (info / "entry_points.txt").write_text("[tapekit.plugins]\n" + "".join(lines))


def python(folder: Path, code: str) -> Any:
    """What a fresh interpreter that sees the folder prints, as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(folder)!r})\n{code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_plugins_of_every_distribution_are_found_unimported(tmp_path: Path) -> None:
    distribution(tmp_path, "tapekit-ship", "anchor", "sail")
    found, imported = python(
        tmp_path,
        "import json\nfrom tapekit.kernel import installed\n"
        "ours = [a for a in installed() if a.name in ('anchor', 'sail')]\n"
        "print(json.dumps([[[a.name, a.origin, a.package] for a in ours],"
        " [m for m in sys.modules if m.startswith('tapekit_')]]))",
    )
    assert found == [
        ["anchor", "tapekit-ship 1.5", "tapekit_ship_anchor"],
        ["sail", "tapekit-ship 1.5", "tapekit_ship_sail"],
    ]
    assert imported == []


def test_a_disabled_plugin_is_never_imported(tmp_path: Path) -> None:
    distribution(tmp_path, "tapekit-ship", "anchor", "sail")
    (tmp_path / "stack.toml").write_text('plugins = ["sail"]\n')
    imported = python(
        tmp_path,
        "import json, pathlib\nfrom tapekit.kernel import assemble, installed\n"
        f"file = pathlib.Path({str(tmp_path)!r}) / 'stack.toml'\n"
        "assemble(file, installed(), clock=lambda: 0.0)\n"
        "print(json.dumps([m for m in sys.modules if m.startswith('tapekit_')]))",
    )
    assert imported == ["tapekit_ship_sail", "tapekit_ship_sail.plugin"]


def test_our_own_plugins_are_found_like_any_other() -> None:
    names = [plugin.name for plugin in installed()]
    assert names == sorted(names)
    assert {"dump", "ndmp_v4"} <= set(names)
    assert {plugin.origin.split()[0] for plugin in installed()} >= {"tapekit"}


class NoManifest:
    pass


class OtherName:
    manifest: ClassVar = Manifest(name="anchor", summary="")


class BadSettings:
    manifest: ClassVar = Manifest(name="sail", summary="", settings=dict)  # type: ignore[arg-type] # what a careless author writes


class UnreadableSettings(msgspec.Struct):
    size: Missing  # type: ignore[name-defined] # noqa: F821 - what a careless author writes


class UnreadableTypes:
    manifest: ClassVar = Manifest(name="sail", summary="", settings=UnreadableSettings)


@pytest.mark.parametrize(
    ("loaded", "reason"),
    [
        (NoManifest, "the class NoManifest has no attribute 'manifest' of type Manifest"),
        (OtherName, 'the manifest says "anchor", the entry point says "sail"'),
        (BadSettings, "its settings are <class 'dict'>, which is no msgspec.Struct"),
        (UnreadableTypes, "the types of its settings cannot be read: "),
        (len, "the entry point names <built-in function len>, which is no class"),
    ],
)
def test_a_manifest_that_breaks_the_contract_is_refused(loaded: object, reason: str) -> None:
    with pytest.raises(TapekitError) as caught:
        Available("sail", "tests 1.0", "tests", lambda: loaded).load()
    assert caught.value.id == "core.bad-manifest"
    assert reason in str(caught.value)
    assert "author of tests 1.0" in caught.value.explained


def test_a_plugin_that_cannot_be_imported_is_told_with_its_cause() -> None:
    def fail() -> object:
        raise ImportError("no libtape")

    with pytest.raises(TapekitError, match="cannot be imported: ImportError: no libtape") as caught:
        Available("sail", "tests 1.0", "tests", fail).load()
    assert isinstance(caught.value.__cause__, ImportError)


def test_the_repr_names_the_plugin() -> None:
    assert repr(Available("sail", "ship 1.5", "p", object)) == "<Available sail of ship 1.5>"


def with_package(folder: Path, monkeypatch: pytest.MonkeyPatch, catalogue: str | None) -> Available:
    monkeypatch.syspath_prepend(folder)
    name = f"catalogue_{folder.name}"
    (folder / name).mkdir()
    (folder / name / "__init__.py").touch()
    (folder / name / "plugin.py").write_text("raise RuntimeError('imported')")
    if catalogue is not None:
        (folder / name / "errors.toml").write_text(catalogue)
    return Available("sail", "ship 1.5", name, object)


def test_a_catalogue_is_read_without_importing_the_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = '[torn]\nmessage = "torn"\ncause = "wind"\naction = "mend"\n'
    catalogue = with_package(tmp_path, monkeypatch, row).catalogue()
    assert catalogue is not None
    assert [fault.id for fault in catalogue] == ["sail.torn"]


def test_a_package_may_have_no_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert with_package(tmp_path, monkeypatch, None).catalogue() is None


def test_a_plugin_in_a_single_module_has_no_catalogue() -> None:
    assert Available("sail", "ship 1.5", "json.decoder", object).catalogue() is None


def test_a_package_that_is_gone_has_no_catalogue() -> None:
    assert Available("sail", "ship 1.5", "nowhere_at_all", object).catalogue() is None


@pytest.mark.parametrize("text", ["[torn]\nmessage = 3\n", "[torn", "[torn]\ncause = ''\n"])
def test_a_damaged_catalogue_is_told(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TapekitError) as caught:
        with_package(tmp_path, monkeypatch, text).catalogue()
    assert caught.value.id == "core.unreadable-catalogue"
