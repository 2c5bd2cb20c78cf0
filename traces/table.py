"""Small tables in a Parquet footer, and the atomic writing of such a file.

Traces and results share this layout: tidy rows in the body, everything else in
the footer's key-values. Tables are zstd-compressed Arrow IPC in base64 (raw bytes
make polars refuse the file), in parts because pyarrow refuses values over 100 MB.
"""

import base64
import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from traces.errors import InputError, OutputError
from traces.schema import TABLE_KEY

DAMAGE: Final = (pa.ArrowException, OSError, ValueError, KeyError, TypeError)
"""What Arrow raises, one way or another, when a file's bytes make no sense."""

_DUMPS: Final = (
    b"\x7fELF", b"KDUM", b"make", b"EMiL", b"AVML", b"QEVM", b"Libv", b"QFI\xfb",
    b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18", b"\xfd7zX", b"\x1f\x8b", b"BZh",
)  # fmt: skip
"""How most dumps begin, or what they are compressed with."""
_CONVERT: Final = "ksm-analyze convert makes a trace of a dump"

SEAL_KEY: Final = b"ksm_analyze.checksum"
_PART_BYTES: Final = 64 << 20


def footer_values(name: str, table: pa.Table) -> dict[str, str]:
    """The footer entries that hold *table* under *name*."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, table.schema, options=options) as stream:
        stream.write_table(table)
    text = base64.b64encode(sink.getvalue()).decode("ascii")
    parts = range(0, max(len(text), 1), _PART_BYTES)
    return {
        TABLE_KEY.format(name=name, part=part): text[at : at + _PART_BYTES]
        for part, at in enumerate(parts)
    }


def footer_table(values: Mapping[bytes, bytes], name: str) -> pa.Table:
    """The table that `footer_values` put there.

    Raises InputError where it is missing or damaged.
    """
    parts: list[bytes] = []
    while (key := TABLE_KEY.format(name=name, part=len(parts)).encode()) in values:
        parts.append(values[key])
    if not parts:
        raise InputError(f"the footer has no table {name!r}")
    try:
        data = base64.b64decode(b"".join(parts), validate=True)
        return pa.ipc.open_stream(data).read_all()
    except DAMAGE as error:
        raise InputError(f"the footer's table {name!r} is damaged") from error


def sealed(values: Mapping[str, str]) -> dict[str, str]:
    """*values* and a checksum over them: flipped bits in Arrow data crash readers."""
    plain = {key.encode(): text.encode() for key, text in values.items()}
    return {**values, SEAL_KEY.decode(): seal(plain)}


def check_seal(values: Mapping[bytes, bytes], *, required: bool) -> None:
    """Raises InputError where footer *values* are not as they were `sealed`.

    A footer of another program may have none, unless it is *required*.
    """
    found = values.get(SEAL_KEY)
    if found is None and not required:
        return
    if found != seal(values).encode():
        raise InputError("damaged: its footer's checksum differs")


def seal(values: Mapping[bytes, bytes]) -> str:
    """The checksum over footer *values* of ours; a seal among them does not count."""
    sums = hashlib.blake2b(digest_size=16)
    for key in sorted(values):
        if key.startswith(b"ksm_analyze.") and key != SEAL_KEY:
            sums.update(b"%d %d " % (len(key), len(values[key])) + key + values[key])
    return sums.hexdigest()


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open *path*, or say in one line why it cannot be read (InputError)."""
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a directory, expected a Parquet file")
        if path.is_fifo():
            # To open it would wait until somebody writes into it.
            raise InputError(f"{path}: is a pipe, expected a Parquet file")
        with path.open("rb") as file:
            magic = file.read(4)
            if magic != b"PAR1":
                found = f"begins with {magic!r}" if magic else "is empty"
                raise InputError(
                    f"{path}: {found}, expected a Parquet file (PAR1)",
                    hint=_CONVERT if magic.startswith(_DUMPS) else None,
                )
            file.seek(-4, os.SEEK_END)
            if file.read(4) != b"PAR1":
                raise InputError(
                    f"{path}: truncated, the Parquet footer at its end is missing"
                )
        return pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise InputError(
            f"{path}: damaged Parquet file: {first_line(error)}"
        ) from error
    except OSError as error:
        reason = error.strerror or first_line(error)
        raise InputError(f"{path}: {reason}") from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A private (0600) file that takes *path*'s name once the block has succeeded.

    Nothing is left under either name when the block raises. Raises OutputError where
    the folder cannot be written, the disk is full, or *path* is no regular file: a
    rename would put one in the place of a device.
    """
    try:
        if path.exists() and not path.is_file():
            what = "a folder" if path.is_dir() else "no regular file"
            raise OutputError(f"{path}: cannot be written: it is {what}")
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=".tmp"
        )
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        # The message of Arrow's says where in Arrow it happened, too.
        reason = os.strerror(error.errno) if error.errno else first_line(error)
        raise OutputError(f"{path}: cannot be written: {reason}") from error
    finally:
        temporary.unlink(missing_ok=True)


def first_line(error: BaseException) -> str:
    """What *error* says, cut to a line."""
    return (str(error).splitlines() or [type(error).__name__])[0]
