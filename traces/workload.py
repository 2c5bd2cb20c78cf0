"""What a process is called by the people who run it: unit, container, pod, VM.

The control group path is where every manager of workloads writes the name down; the
last component that says something wins, as the innermost manager knows best.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

LABELS: Final = (
    "auto", "unit", "container", "pod", "vm", "cgroup", "comm", "user", "exe",
)  # fmt: skip
"""What a workload can be named after. `auto` takes the first of pod, container, vm
and unit that there is, else comm."""

_HEX: Final = r"[0-9a-f]{64}"
_CONTAINER: Final = re.compile(
    rf"(?:(?:docker|libpod|cri-containerd|crio)-)?({_HEX})(?:\.scope)?"
)
_NAMED_CONTAINER: Final = re.compile(r"(?:lxc\.payload\.|machine-)(.+?)(?:\.scope)?")
_POD: Final = re.compile(r"(?:kubepods(?:-\w+)?-)?pod([0-9a-f_-]{32,36})(?:\.slice)?")
_QEMU: Final = re.compile(r"machine-qemu-\d+-(.+)\.scope")
_UNIT: Final = re.compile(r".+\.(?:service|scope)")
_SESSION: Final = re.compile(r"session-\w+\.scope|init\.scope|user@\d+\.service")


class Names(NamedTuple):
    """What a control group path tells; empty strings where it does not."""

    cgroup: str = ""
    unit: str = ""
    container: str = ""
    """Name and the first 12 digits of the id, or whichever of them is known."""
    pod: str = ""
    vm: str = ""


def names(cgroups: Mapping[str, str], command: Sequence[str] = ()) -> Names:
    """The names in a process's *cgroups* (`procfs.cgroups`) and its command line."""
    path = cgroup_path(cgroups)
    # systemd writes a character that is special to it as \xNN.
    parts = [
        re.sub(r"\\x([0-9a-f]{2})", lambda match: chr(int(match[1], 16)), part)
        for part in path.split("/")
        if part not in ("", "..")
    ]
    unit = container = identity = pod = vm = ""
    for part, parent in zip(parts, ["", *parts], strict=False):
        if match := _QEMU.fullmatch(part):
            vm = match[1]
        elif parent == "firecracker":
            vm = part
        elif match := _POD.fullmatch(part):
            pod = match[1].replace("_", "-")
        elif match := _CONTAINER.fullmatch(part):
            identity = match[1]
        elif match := _NAMED_CONTAINER.fullmatch(part):
            container = match[1]
        elif parent == "lxc":
            container = part
        if _UNIT.fullmatch(part):
            unit = part
    if identity:
        pod = _pod_name(identity) or pod
        container = " ".join(filter(None, (_container_name(identity), identity[:12])))
    return Names(path, unit, container, pod, vm or _qemu_guest(command))


def cgroup_path(cgroups: Mapping[str, str]) -> str:
    """The path that names the workload.

    The unified hierarchy's, or on a hybrid host, where that is `/` for all, the one
    of systemd's own hierarchy, or of the memory controller.
    """
    for controller in ("", "name=systemd", "memory"):
        if cgroups.get(controller, "/") != "/":
            return cgroups[controller]
    return "/" if cgroups else ""


def label(by: str, known: Names, comm: str, user: str, exe: str) -> str:
    """The workload's name by *by*, one of `LABELS`; comm where there is no such."""
    if by == "auto":
        unit = "" if _SESSION.fullmatch(known.unit) else known.unit
        return known.pod or known.container or known.vm or unit or comm
    outside = {"comm": comm, "user": user, "exe": exe}
    return (outside | known._asdict())[by] or comm


def _qemu_guest(command: Sequence[str]) -> str:
    """The guest's name, of `qemu-system-... -name guest=NAME,...`."""
    if not command or "qemu" not in command[0].rpartition("/")[2]:
        return ""
    for option, value in pairwise(command):
        if option == "-name":
            return value.split(",")[0].removeprefix("guest=")
    return ""


@cache
def _container_name(identity: str) -> str:
    """From what Docker and Podman keep on disk, where we may read it."""
    try:
        file = Path("/var/lib/docker/containers", identity, "config.v2.json")
        return str(json.loads(file.read_bytes())["Name"]).lstrip("/")
    except (OSError, ValueError, KeyError, TypeError):
        pass
    try:
        file = Path("/var/lib/containers/storage/overlay-containers/containers.json")
        for entry in json.loads(file.read_bytes()):
            if entry["id"] == identity:
                return str(entry["names"][0])
    except (OSError, ValueError, LookupError, TypeError):
        pass
    return ""


@cache
def _pod_name(identity: str) -> str:
    """Namespace and pod, from the log links kubelet makes: POD_NAMESPACE_NAME-ID.log"""
    for link in Path("/var/log/containers").glob(f"*-{identity}.log"):
        words = link.name.split("_")
        if len(words) == 3:
            return f"{words[1]}/{words[0]}"
    return ""
