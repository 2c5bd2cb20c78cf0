"""Physical memory as LiME and AVML write it, made from their specifications."""

import struct
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
from dumping import Image


class Range(NamedTuple):
    """Bytes from a physical address on."""

    start: int
    data: bytes


def lime(ranges: Sequence[Range], version: int = 1) -> Image:
    """format=lime; also what AVML writes uncompressed."""
    image = Image()
    for start, data in ranges:
        image.put(_header(b"EMiL", version, start, len(data)))
        image.put(data)
    return image


def avml(ranges: Sequence[Range], version: int = 2, chunk: int = 1 << 16) -> Image:
    """AVML's compressed output: each range a stream of snappy's framing."""
    codec = pa.Codec("snappy")
    image = Image()
    for start, data in ranges:
        image.put(_header(b"AVML", version, start, len(data)))
        begin = image.put(b"\xff\x06\x00\x00sNaPpY")
        # What a reader has to pass over.
        image.put(b"\xfe\x03\x00\x00pad")
        for at in range(0, len(data), chunk):
            some = data[at : at + chunk]
            packed = codec.compress(some, asbytes=True)
            kind, body = (0, packed) if len(packed) < len(some) else (1, some)
            head = (len(body) + 4 << 8 | kind).to_bytes(4, "little")
            image.put(head + _crc(some))
            image.put(body)
        image.put((image.size - begin).to_bytes(8, "little"))
    return image


def _header(magic: bytes, version: int, start: int, size: int) -> bytes:
    return struct.pack("<4sIQQQ", magic, version, start, start + size - 1, 0)


def _crc(data: bytes) -> bytes:
    """The masked CRC-32C of snappy's framing, a bit at a time of a short table."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8 & 0xFFFFFFFF).to_bytes(4, "little")


def _entry(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value


_TABLE = [_entry(value) for value in range(256)]
