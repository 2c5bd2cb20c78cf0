"""Messages are what the documentation of the encoding shows, and nothing else is."""

import pytest
from criu_images import message
from hypothesis import given
from hypothesis import strategies as st

from traces.dumps.criu.protobuf import Malformed, Message


def test_the_documentation_s_own_examples() -> None:
    assert Message(b"\x08\x96\x01").number(1) == 150
    assert Message(b"\x12\x07testing").text(2) == "testing"
    assert Message(b"\x1a\x03\x08\x96\x01").message(3).number(1) == 150
    repeated = Message(b"\x22\x05hello\x28\x01\x28\x02\x28\x03")
    assert (repeated.text(4), repeated.number(5)) == ("hello", 3)


def test_fixed_numbers_and_what_is_not_there() -> None:
    found = Message(b"\x0d\x01\x00\x00\x00\x11" + bytes(7) + b"\x80")
    assert (found.number(1), found.number(2)) == (1, 1 << 63)
    assert (found.number(3), found.number(3, 9), found.text(3)) == (0, 9, "")
    assert 1 in found
    assert 3 not in found
    assert not list(found.messages(3))
    assert found.message(3).number(1) == 0


@given(st.dictionaries(st.integers(1, 1 << 28), st.integers(0, (1 << 64) - 1)))
def test_numbers_come_back(numbers: dict[int, int]) -> None:
    found = Message(message(*numbers.items()))
    assert {field: found.number(field) for field in numbers} == numbers


@pytest.mark.parametrize(
    "data",
    [b"\x08", b"\x08" + b"\x80" * 11, b"\x12\x05abc", b"\x0d\x01", b"\x0b", b"\x80"],
    ids=["no value", "endless", "cut bytes", "cut word", "group", "cut key"],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        Message(data)


def test_a_field_of_another_kind_is_refused() -> None:
    with pytest.raises(Malformed):
        Message(message((1, "a"))).number(1)
    with pytest.raises(Malformed):
        Message(message((1, 1))).text(1)


@given(st.binary(max_size=40))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    try:
        found = Message(data)
    except Malformed:
        return
    assert found.number(0, 7) == 7 or 0 in found
