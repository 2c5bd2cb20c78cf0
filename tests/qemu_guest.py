"""A tiny guest of this machine's own QEMU, which keeps writing to its memory."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

MIB = 1 << 20
LOADED_AT = 8 * MIB
BOOT = bytes.fromhex(
    "b80020"  # mov ax, 0x2000
    "8ed8"  # mov ds, ax
    "ff060000"  # inc word [0]
    "ff060010"  # inc word [0x1000]
    "ebf6"  # jmp to the first inc
)
"""A boot sector that changes pages 0x20 and 0x21 for as long as it runs."""


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def loaded_pages() -> bytes:
    """What is put into the guest's memory: noise, repeats, fills and zeros."""
    noise = np.random.default_rng(5).bytes(300 * 4096)
    fills = b"".join(bytes([byte]) * 4096 for byte in (0, 1, 255, 0, 7))
    return noise + noise[: 40 * 4096] + fills


class Guest:
    """Talks to a QEMU that runs."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", ram: Sequence[Path], disk: Path
    ) -> None:
        self._process, self._ram, self.disk = process, ram, disk
        self._receive()
        self.ask("qmp_capabilities")

    def ask(self, command: str, **arguments: Any) -> Any:
        assert self._process.stdin is not None
        line = json.dumps({"execute": command, "arguments": arguments})
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()
        while True:
            said = self._receive()
            assert "error" not in said, said
            if "return" in said:
                return said["return"]

    def say(self, line: str) -> None:
        assert not self.ask("human-monitor-command", **{"command-line": line})

    def can(self, capability: str) -> bool:
        known = self.ask("query-migrate-capabilities")
        return capability in [row["capability"] for row in known]

    def migrate(self, uri: str, *capabilities: str) -> None:
        states = [{"capability": name, "state": True} for name in capabilities]
        self.ask("migrate-set-capabilities", capabilities=states)
        self.ask("migrate", uri=uri)
        while (told := self.ask("query-migrate"))["status"] != "completed":
            assert told["status"] != "failed", told
            time.sleep(0.02)

    def memory(self) -> bytes:
        """All RAM, block behind block, as the host's own files of it have it."""
        return b"".join(path.read_bytes() for path in self._ram)

    def _receive(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


@contextmanager
def running(folder: Path, blocks: int = 1, more: Sequence[str] = ()) -> Iterator[Guest]:
    """A guest of 32 MiB in as many *blocks*, with a disk for snapshots and *more*; it
    runs."""
    qemu, image = program("qemu-system-x86_64"), program("qemu-img")
    (folder / "boot").write_bytes(BOOT.ljust(510, b"\0") + b"\x55\xaa")
    (folder / "loaded").write_bytes(loaded_pages())
    ram = [folder / f"ram{at}" for at in range(blocks)]
    size = 32 // blocks
    memory = []
    for at, path in enumerate(ram):
        memory += [
            "-object",
            f"memory-backend-file,id=m{at},size={size}M,mem-path={path},share=on",
        ]
    if blocks == 1:
        memory += ["-machine", "pc,memory-backend=m0"]
    else:
        for at in range(blocks):
            memory += ["-numa", f"node,memdev=m{at}"]
    disk = folder / "disk.qcow2"
    subprocess.run(
        [image, "create", "-q", "-f", "qcow2", disk, "64M"], check=True, timeout=60
    )
    with subprocess.Popen(
        [
            qemu, "-accel", "tcg", "-m", "32M,slots=1,maxmem=1G", *memory,
            "-nodefaults", "-display", "none", "-vga", "std", "-qmp", "stdio",
            "-drive", f"if=floppy,format=raw,readonly=on,file={folder / 'boot'}",
            "-drive", f"if=virtio,format=qcow2,file={disk}", "-boot", "a",
            "-device", f"loader,file={folder / 'loaded'},addr={LOADED_AT},force-raw=on",
            *more,
        ],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            guest = Guest(process, ram, disk)
            before = guest.memory()[0x20000:0x20002]
            for _ in range(500):
                if guest.memory()[0x20000:0x20002] != before:
                    break
                time.sleep(0.02)
            yield guest
        finally:
            process.kill()
