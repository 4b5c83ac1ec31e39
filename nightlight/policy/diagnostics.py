"""What is wrong with a policy file: where, which kind, in words, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

from nightlight_core.errors import PolicyRefused


@dataclass(frozen=True, slots=True, order=True)
class SourcePosition:
    """A position in a policy file; line and column count from one."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        """Return ``file:line:column``, which editors and terminals can jump to."""
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, order=True)
class Diagnostic:
    """One thing wrong; ``code`` is stable and documented in docs/policy/errors.md."""

    position: SourcePosition
    code: str
    message: str

    def __str__(self) -> str:
        """Return the line that a person reads."""
        return f"{self.position}: {self.message} [{self.code}]"


@dataclass(slots=True)
class Diagnostics:
    """Collects every problem, so that an editor sees all of them at once."""

    entries: list[Diagnostic] = field(default_factory=list)

    def add(self, place: SourcePosition, code: str, message: str) -> None:
        """Note one problem."""
        self.entries.append(Diagnostic(place, code, message))

    def refuse(self) -> None:
        """Raise PolicyRefused with everything found, sorted by place; do nothing if nothing was."""
        if self.entries:
            raise InvalidPolicy(tuple(sorted(set(self.entries))))


class InvalidPolicy(PolicyRefused):
    """The policy files are refused; ``problems`` says why, sorted by place."""

    def __init__(self, problems: tuple[Diagnostic, ...]) -> None:
        """Keep the problems; the message is one line each."""
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the nearest known word, or a list of the known ones."""
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; known: {', '.join(known)}" if known else ""
