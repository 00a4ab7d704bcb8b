"""A Linux kernel of its own for tests: a guest in QEMU that sees the files of
this machine, read-only, and runs one program of the tests.

Its processor is emulated, so it needs neither /dev/kvm nor a disk image; its
kernel is Debian's, taken from a package that need not be installed.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from interop_peers import need, program, required

KERNEL_PACKAGES = Path("/var/cache/apt/archives")
"""Where ``apt-get install --download-only linux-image-amd64`` leaves it."""

PARTS = ("drivers/scsi", "drivers/target", "drivers/uio", "drivers/virtio", "net/9p", "lib")
FILE_SYSTEMS = ("fs/9p", "fs/configfs", "fs/fscache", "fs/netfs", "fs/overlayfs")
ALGORITHMS = ("crypto", "arch/x86/crypto")
AT_FIRST = ("virtio_pci", "9pnet_virtio", "9p", "overlay")
"""Modules without which the guest sees no files."""

TESTS = Path(__file__).parents[1]
PATIENCE_S = 300

INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev
for module in $(/bin/busybox cat /modules/order); do /bin/busybox insmod /modules/$module; done
options=ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose
/bin/busybox mount -t 9p -o $options host /lower || exec /bin/busybox poweroff -f
/bin/busybox mount -t tmpfs none /rw
/bin/busybox mkdir /rw/upper /rw/work
layers=lowerdir=/lower,upperdir=/rw/upper,workdir=/rw/work
/bin/busybox mount -t overlay -o $layers none /mnt
/bin/busybox ifconfig lo up
/bin/busybox hostname guest
for folder in proc sys dev; do /bin/busybox mount --move /$folder /mnt/$folder; done
/bin/busybox mkdir -p /mnt/dev/shm
/bin/busybox chroot /mnt /bin/sh -c "@COMMAND@"
/bin/busybox echo "the program ended with $?"
/bin/busybox poweroff -f
"""


@dataclass(frozen=True)
class Kernel:
    """An unpacked kernel; its modules are found below a folder."""

    image: Path
    version: str
    root: Path


def find_kernel(scratch: Path) -> Kernel:
    """The kernel for guests; skips, or fails where peers are required."""
    for modules in sorted(Path("/lib/modules").glob("*-amd64"), reverse=True):
        image = Path("/boot") / f"vmlinuz-{modules.name}"
        if image.exists() and (modules / "kernel/net/9p").exists():
            return Kernel(image, modules.name, Path("/"))
    packages = sorted(KERNEL_PACKAGES.glob("linux-image-[0-9]*[0-9]-amd64_*.deb"), reverse=True)
    if packages:
        return unpack(packages[0], scratch)
    reason = "no kernel (apt-get install --download-only linux-image-amd64)"
    if required():
        pytest.fail(reason)
    pytest.skip(reason)


def unpack(package: Path, root: Path) -> Kernel:
    """Those parts of a kernel's package that guests need."""
    modules = "./lib/modules/*"
    folders = (*PARTS, *FILE_SYSTEMS, *ALGORITHMS)
    wanted = ["./boot/vmlinuz-*", f"{modules}/modules.*"]
    wanted += [f"{modules}/kernel/{folder}/*" for folder in folders]
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE
    ) as content:
        subprocess.run(
            ["tar", "-x", "-C", str(root), "--wildcards", *wanted],
            stdin=content.stdout,
            check=True,
        )
    (image,) = (root / "boot").glob("vmlinuz-*")
    version = image.name.removeprefix("vmlinuz-")
    subprocess.run([program("depmod"), "-b", str(root), version], check=True)
    return Kernel(image, version, root)


def run_in_guest(script: Path, scratch: Path, *arguments: str) -> list[str]:
    """Run a Python program in a guest; the lines that it printed. Its first
    argument is the folder below which the guest's modules are. What it writes
    to files of this machine is gone when it ends.
    """
    need("qemu-system-x86_64", "busybox", "cpio", "depmod", "modprobe")
    if os.geteuid() != 0:
        pytest.skip("the guest reads the files of root")
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="kernel-guest-") as made:
        kernel = find_kernel(Path(made))
        paths = os.pathsep.join(str(TESTS / folder) for folder in ("interop", "trees"))
        python = ("env", f"PYTHONPATH={paths}", sys.executable)
        command = shlex.join((*python, str(script), str(kernel.root), *arguments))
        disk = _first_disk(kernel, scratch, command)
        options = {
            "accel": "tcg,thread=multi",
            "cpu": "max",
            "smp": "2",
            "m": "1536",
            "serial": "stdio",
            "kernel": str(kernel.image),
            "initrd": str(disk),
            "append": "console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off",
            "virtfs": "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
        }
        pairs = (word for name, value in options.items() for word in (f"-{name}", value))
        done = subprocess.run(
            [program("qemu-system-x86_64"), "-nographic", "-nodefaults", "-no-reboot", *pairs],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE_S,
            check=True,
        )
    return done.stdout.decode("utf-8", "replace").splitlines()


def _first_disk(kernel: Kernel, scratch: Path, command: str) -> Path:
    """What the guest starts from: busybox, a few modules, and what to do."""
    root = scratch / "first"
    for folder in ("bin", "modules", "proc", "sys", "dev", "lower", "rw", "mnt"):
        (root / folder).mkdir(parents=True)
    (root / "bin/busybox").write_bytes(program("busybox").read_bytes())
    (root / "bin/busybox").chmod(0o755)
    order: dict[str, None] = {}
    for module in AT_FIRST:
        for path in _with_dependencies(kernel, module):
            (root / "modules" / path.name).write_bytes(path.read_bytes())
            order[path.name] = None
    (root / "modules/order").write_text("\n".join(order))
    init = root / "init"
    init.write_text(INIT.replace("@COMMAND@", command))
    init.chmod(0o755)
    disk = scratch / "first.cpio"
    with disk.open("wb") as output:
        names = "\0".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
        subprocess.run(
            [program("cpio"), "--quiet", "-o", "-H", "newc", "-0"],
            input=names.encode(),
            stdout=output,
            cwd=root,
            check=True,
        )
    return disk


def _with_dependencies(kernel: Kernel, module: str) -> list[Path]:
    where = ("-d", str(kernel.root), "-S", kernel.version)
    listed = subprocess.run(
        [program("modprobe"), *where, "--show-depends", module],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    lines = (line.split() for line in listed.splitlines())
    return [Path(words[1]) for words in lines if words[0] == "insmod"]
