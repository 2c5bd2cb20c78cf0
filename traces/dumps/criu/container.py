"""What a checkpoint of podman, CRI-O or containerd tells of its container.

config.dump is the engine's own description of the container, spec.dump the runtime's
(the OCI runtime specification), whose annotations name the pod.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

_CONTAINER_NAMES: Final = (
    "io.kubernetes.container.name",
    "io.kubernetes.cri.container-name",
    "io.kubernetes.cri-o.annotations.checkpoint.name",
    "io.podman.annotations.checkpoint.name",
)
_POD_NAMES: Final = ("io.kubernetes.pod.name", "io.kubernetes.cri.sandbox-name")
_NAMESPACES: Final = (
    "io.kubernetes.pod.namespace",
    "io.kubernetes.cri.sandbox-namespace",
)
_POD_IDS: Final = ("io.kubernetes.pod.uid", "io.kubernetes.cri.sandbox-uid")


class Container(NamedTuple):
    """Empty where it is not told."""

    container: str = ""
    """Name and the first 12 digits of the id, as `workload.Names` has it."""
    pod: str = ""
    """Namespace and name, else its id."""
    captured_at: str = ""
    """ISO 8601, UTC."""


def container(config: bytes, spec: bytes) -> Container:
    """What *config*.dump and *spec*.dump tell; nothing where they are no JSON."""
    known = _object(config)
    annotations = _object(_object(spec).get("annotations"))
    name = _first(annotations, _CONTAINER_NAMES) or _text(known.get("name"))
    identity = _text(known.get("id"))[:12]
    pod, space = _first(annotations, _POD_NAMES), _first(annotations, _NAMESPACES)
    return Container(
        container=" ".join(filter(None, (name, identity))),
        pod="/".join(filter(None, (space, pod))) if pod else _pod_id(annotations),
        captured_at=_moment(_text(known.get("checkpointedTime"))),
    )


def _pod_id(annotations: Mapping[str, Any]) -> str:
    return _first(annotations, _POD_IDS)


def _first(annotations: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    return next(filter(None, (_text(annotations.get(key)) for key in keys)), "")


def _object(data: Any) -> Mapping[str, Any]:
    if isinstance(data, bytes):
        try:
            data = json.loads(data)
        except (ValueError, RecursionError):
            return {}
    return data if isinstance(data, dict) else {}


def _text(value: Any) -> str:
    # JSON may tell halves of characters, which no file can hold.
    if not isinstance(value, str):
        return ""
    return value.encode("utf-8", "backslashreplace").decode()


def _moment(text: str) -> str:
    """RFC 3339 in seconds; empty where there is none, or it never was."""
    try:
        when = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return ""
    return "" if when.year < 1970 else when.isoformat(timespec="seconds")
