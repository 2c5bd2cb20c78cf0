"""The size of a page: all that whoever only draws numbers needs of the format."""

from typing import Final

PAGE_SIZE: Final = 4096
"""Bytes of the pages a trace describes."""
