"""What a decoder has to say of a picture that it could show, for the operator's log.

A note is a word of ``DecodeNote`` and two whole numbers whose meaning the word gives. A sandboxed decoder sends notes
with its pixels; ``sandbox_response`` checks each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

# The most notes of one picture, and the largest number in one.
MAX_NOTES, MAX_NUMBER = 8, 1 << 32


class NoteKind(StrEnum):
    """The words.

    ``rows_missing``: an upload that was cut off; how many rows arrived, of how many. ``scans_missing``: a progressive
    JPEG that was cut off; how many scans arrived whole, and the percentage of coefficients that arrived to their last
    bit. ``profile_ignored``: a colour profile over the bound (the second number, in bytes), or one that cannot be
    unpacked; the picture is read as sRGB.
    """

    ROWS_MISSING = "rows_missing"
    SCANS_MISSING = "scans_missing"
    PROFILE_IGNORED = "profile_ignored"


@dataclass(frozen=True, slots=True)
class DecodeNote:
    """One note: its word and its two numbers."""

    kind: NoteKind
    first: int = 0
    second: int = 0

    @classmethod
    def parse(cls, value: Any) -> DecodeNote:
        """Return the note that a sandboxed decoder sent as a list; raise ValueError for anything else."""
        kind, first, second = value
        if not (type(first) is int and type(second) is int and 0 <= first <= MAX_NUMBER and 0 <= second <= MAX_NUMBER):
            raise ValueError(value)
        return cls(NoteKind(kind), first, second)

    @property
    def text(self) -> str:
        """Return the note as the log has it."""
        if self.kind is NoteKind.ROWS_MISSING:
            return f"{self.first} of {self.second} rows arrived; the rest is filled"
        if self.kind is NoteKind.SCANS_MISSING:
            return f"{self.first} scans arrived whole, with {self.second} % of the coefficients to their last bit"
        if self.second:
            return f"the colour profile is larger than {self.second} bytes; read as sRGB"
        return "the colour profile cannot be unpacked; read as sRGB"

    def as_list(self) -> list[str | int]:
        """Return the note as JSON holds it."""
        return [self.kind.value, self.first, self.second]
