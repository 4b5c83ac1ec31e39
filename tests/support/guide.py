"""docs/policy/guide.md as a program: its edits are made and its commands run, in their order, in a folder of their own.

- In a ```console block, `$ ` begins a command, and the lines below it are what it prints. `[...]` stands for lines that
  are left out, and whatever asks `[y/N]: ` is answered `y`.
- In a ```diff block, `--- FILE` names the file. Lines with `-` go, lines with `+` come, other lines say where; `@@` parts
  places. A line that ends in `...` stands for any line that begins so, and its `+` line keeps the rest.
- What differs from run to run, or with the size of the pack, is compared by VARIES alone.

python -m tests.support.guide             run everything, and name each output that differs from the guide
python -m tests.support.guide --write     write what is printed into the guide; look at the difference

An edit that no longer fits the pack is mended by hand in the guide; the error names its line.
"""

import re
import shlex
import subprocess
import sys
import tempfile
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from nightlight.cli import embedded
from nightlight.cli.policy_rollout import DEFAULT_URL
from tests.support.command import run_command
from tests.support.stacks import LONG_TIMEOUTS
from tests.support.waiting import HANG_S

PATH = Path(__file__).parents[2] / "docs/policy/guide.md"
# What is not compared letter by letter, and what stands for it; the one place for that.
TIME = (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?\+00:00"), "TIME")
VARIES = (
    (re.compile(r"\b[0-9a-f]{64}\b"), "DIGEST"),
    (re.compile(r"[\d,]+(?= combinations| bytes| mutants)"), "NUMBER"),
    (re.compile(r"(?<=\()[\d,]+(?=\)$)", re.MULTILINE), "NUMBER"),
    TIME,
    (re.compile(r"^\d+\.\d+\.\d+$", re.MULTILINE), "RELEASE"),
)
LEFT_OUT = "[...]"
REST = "..."
PROMPT = "[y/N]: "


@dataclass(frozen=True)
class Edit:
    """An edit of one file, in hunks of lines; ``line`` is its place in the guide."""

    line: int
    file: str
    hunks: tuple[tuple[str, ...], ...]

    def make(self, folder):
        lines = (folder / self.file).read_text("utf-8").split("\n")
        for hunk in self.hunks:
            old = [line[1:] for line in hunk if line[:1] != "+"]
            fits = [at for at in range(len(lines)) if all(map(_fits, old, lines[at:])) and at + len(old) <= len(lines)]
            if len(fits) != 1:
                raise AssertionError(
                    f"{PATH.name}:{self.line}: these lines are {len(fits)} times in {self.file}: {old}"
                )
            lines[fits[0] : fits[0] + len(old)] = _edited(hunk, lines[fits[0] :])
        (folder / self.file).write_text("\n".join(lines), "utf-8")


@dataclass(frozen=True)
class Command:
    """A command and what the guide prints below it; ``line`` is its place in the guide, counted from one."""

    line: int
    text: str
    output: tuple[str, ...]

    @property
    def serves(self):
        return self.text.startswith("nightlight serve")

    @property
    def prepares(self):
        """Say whether later commands need what it leaves behind."""
        return not self.text.startswith("nightlight policy") or self.text.startswith("nightlight policy init")

    def shown(self, printed):
        """Return what was printed as the guide shows it: without the lines that the guide leaves out."""
        lines = [line.rstrip() for line in printed.strip("\n").split("\n")] if printed.strip() else []
        if LEFT_OUT not in self.output:
            return lines
        head = self.output.index(LEFT_OUT)
        tail = len(self.output) - head - 1
        return [*lines[:head], LEFT_OUT, *lines[len(lines) - tail :]]

    def differs(self, printed, varies=VARIES):
        return comparable(self.shown(printed), varies) != comparable(self.output, varies)


def comparable(lines, varies):
    """Return lines as one text that is the same in every run."""
    text = "\n".join(lines)
    for pattern, stands_for in varies:
        text = pattern.sub(stands_for, text)
    return text


def read_steps(text):
    """Return the edits and commands of a page, in their order."""
    steps = []
    for block in re.finditer(r"^```(console|diff)\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE):
        first = text.count("\n", 0, block.start(2)) + 1
        lines = block[2].split("\n")[:-1]
        steps += _commands(lines, first) if block[1] == "console" else [_edit(lines, first)]
    return steps


def split_at_service(steps):
    """Return the steps that need no service, and those from the start of the service on."""
    start = next(number for number, step in enumerate(steps) if isinstance(step, Command) and step.serves)
    return steps[:start], steps[start:]


class Session:
    """A folder in which steps are played, the variables that they exported, and what each command printed."""

    def __init__(self, folder):
        self.folder = folder
        self.printed = {}
        self._environment = {}

    def play(self, steps):
        for number, step in enumerate(steps):
            if isinstance(step, Edit):
                step.make(self.folder)
            elif step.serves:
                self._serve(step, steps[number + 1 :])
                return
            else:
                self.printed[step] = self._run(step)

    def _serve(self, step, rest):
        """Start the service as the guide does, and play the rest where the command waits for Ctrl-C."""

        def wait(stack):
            self._environment["NIGHTLIGHT_URL"] = stack.url
            self.play(rest)

        with patch.object(embedded.EmbeddedStack, "wait", wait), patch.object(embedded, "START_S", HANG_S):
            printed = self._nightlight(f"{step.text} --port 0", LONG_TIMEOUTS)
        self.printed[step] = printed.replace(self._environment["NIGHTLIGHT_URL"], DEFAULT_URL)

    def _run(self, step):
        if step.text.startswith("nightlight "):
            return self._nightlight(step.text, self._environment, "y\n").replace(PROMPT, f"{PROMPT}y\n")
        if exported := re.fullmatch(r"export (\w+)=\$\((nightlight .*)\)", step.text):
            self._environment[exported[1]] = self._nightlight(exported[2], self._environment).strip()
            return ""
        done = subprocess.run(["bash", "-c", step.text], cwd=self.folder, capture_output=True, text=True, check=True)
        return done.stdout + done.stderr

    def _nightlight(self, text, environment, typed=""):
        with chdir(self.folder):
            done = run_command(shlex.split(text)[1:], environment, given=typed)
        return done.stdout + done.stderr


def _fits(wanted, line):
    return line.startswith(wanted[: -len(REST)]) if wanted.endswith(REST) else line == wanted


def _edited(hunk, lines):
    """Return the lines that take the place of a hunk's, of which ``lines`` begins with the old ones."""
    result, rest, old = [], "", iter(lines)
    for line in hunk:
        if line[:1] != "+":
            actual = next(old)
            rest = actual[len(line) - 1 - len(REST) :] if line.endswith(REST) else rest
            if line[:1] != "-":
                result.append(actual)
        else:
            result.append(line[1 : -len(REST)] + rest if line.endswith(REST) else line[1:])
    return result


def _edit(lines, first):
    hunks = [[]]
    for line in lines[1:]:
        hunks.append([]) if line == "@@" else hunks[-1].append(line)
    return Edit(first, lines[0].removeprefix("--- "), tuple(map(tuple, hunks)))


def _commands(lines, first):
    starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    ends = [*starts[1:], len(lines)]
    return [
        Command(first + start, lines[start][2:], tuple(lines[start + 1 : end]))
        for start, end in zip(starts, ends, strict=True)
    ]


def main():
    steps = read_steps(PATH.read_text("utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        session = Session(Path(folder))
        session.play(steps)
    writes = "--write" in sys.argv[1:]
    varies = (TIME,) if writes else VARIES
    different = [step for step, printed in session.printed.items() if step.differs(printed, varies)]
    for step in different:
        sys.stdout.write(f"{PATH.name}:{step.line}: $ {step.text}\n")
    if not writes:
        sys.exit(bool(different))
    lines = PATH.read_text("utf-8").split("\n")
    for step in sorted(different, key=lambda step: -step.line):
        lines[step.line : step.line + len(step.output)] = step.shown(session.printed[step])
    PATH.write_text("\n".join(lines), "utf-8")


if __name__ == "__main__":
    main()
