"""Protocol-buffer messages without their schemas: numbers of fields, and what is there.

Encoding: the protocol buffers documentation, "Encoding".
"""

import struct
from collections.abc import Iterator
from typing import Final

_LONGEST: Final = 10
"""Bytes of a varint of 64 bits."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Malformed(ValueError):  # noqa: N818 (what the bytes are)
    """These bytes are no message."""


class Message:
    """One message; a field that is not there is zero or empty. Raises Malformed."""

    def __init__(self, data: bytes) -> None:
        self._fields: dict[int, list[int | bytes]] = {}
        for number, value in _fields(data):
            self._fields.setdefault(number, []).append(value)

    def __contains__(self, number: int) -> bool:
        return number in self._fields

    def number(self, field: int, default: int = 0) -> int:
        """An unsigned number; of several the last one counts."""
        value = self._fields.get(field, [default])[-1]
        if isinstance(value, bytes):
            raise Malformed(f"field {field} is no number")
        return value

    def text(self, field: int) -> str:
        """A string; what is no UTF-8 in it becomes backslashed."""
        values = self.strings(field)
        return values[-1].decode("utf-8", "backslashreplace") if values else ""

    def message(self, field: int) -> "Message":
        """A message within this one; an empty one where there is none."""
        values = self.strings(field)
        return Message(values[-1] if values else b"")

    def messages(self, field: int) -> Iterator["Message"]:
        """All messages of a field that repeats."""
        return map(Message, self.strings(field))

    def strings(self, field: int) -> list[bytes]:
        """All values of a field of bytes."""
        values = self._fields.get(field, [])
        found = [value for value in values if isinstance(value, bytes)]
        if len(found) < len(values):
            raise Malformed(f"field {field} is a number")
        return found


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield number, value
        elif kind == _BYTES:
            size, at = _varint(data, at)
            if size > len(data) - at:
                raise Malformed("cut within a field")
            yield number, data[at : at + size]
            at += size
        elif kind in (_FIXED64, _FIXED32):
            form = "<Q" if kind == _FIXED64 else "<I"
            size = struct.calcsize(form)
            if size > len(data) - at:
                raise Malformed("cut within a field")
            yield number, struct.unpack_from(form, data, at)[0]
            at += size
        else:
            raise Malformed(f"a field of unknown type {kind}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits per byte, and where the next one begins."""
    value = 0
    for nth, byte in enumerate(data[at : at + _LONGEST]):
        value |= (byte & 0x7F) << 7 * nth
        if byte < 0x80:
            return value & (1 << 64) - 1, at + nth + 1
    raise Malformed("cut within a number, or one of more than 64 bits")
