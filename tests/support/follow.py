"""Follow a page of the documentation in an empty folder, by its blocks alone, as a reader does.

- A ```python block that begins with `# FOLDER/NAME.py` is saved under that name.
- A ```sh block is typed into a terminal, which is bash. Where its last command goes on until it is stopped (SERVES), the
  page goes on in a new terminal, in the empty folder, once that command has said that it is ready.
- Other blocks are not for a terminal.

    python -m tests.support.follow PAGE FOLDER -- COMMAND ...

follows a page in this environment, then runs a command while everything that was started still runs. It does so on a
network of its own where the kernel lets it, so that no port of the page is taken: ``alone`` gives the command for that.
"""

import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import HANG_S

SERVES = re.compile(r"^(nightlight serve|python -m uvicorn)\b")
READY = re.compile(r"listens on http://|Uvicorn running on http://")
_BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_END = "a block of the page has ended"


@dataclass(frozen=True)
class Block:
    """A block of a page: what it is, its text, and its first line in the page, counted from one."""

    kind: str
    text: str
    line: int

    @property
    def file(self):
        """The path, in the empty folder, that a program is to be saved under; None if it names none."""
        named = re.match(r"# ([\w-]+/[\w-]+\.py)\n", self.text)
        return named[1] if named and self.kind == "python" else None

    @property
    def serves(self):
        return self.kind == "sh" and bool(SERVES.match(self.text.strip().splitlines()[-1]))


def blocks(text):
    """Return the blocks of a page that are for a terminal or a file, in their order."""
    return [Block(match[1], match[2], text.count("\n", 0, match.start(2)) + 1) for match in _BLOCK.finditer(text)]


class Terminal:
    """A bash in the empty folder; what is printed is kept in ``lines``."""

    def __init__(self, folder):
        self._process = subprocess.Popen(
            ["bash", "-eu"], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True,
        )  # fmt: skip
        self.lines, self._coming = [], queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def type(self, block, until):
        """Type a block and wait for a line that matches ``until``; raises AssertionError if bash ends before that."""
        # In braces a block may change the folder of the terminal; nothing in it reads what is typed next.
        self._process.stdin.write(f"{{\n{block.text}}} </dev/null\necho {_END}\n")
        self._process.stdin.flush()
        while (line := self._coming.get(timeout=HANG_S)) is not None:
            if re.search(until, line):
                return
        raise AssertionError(f"line {block.line}: it ended with {self._process.wait()}:\n" + "".join(self.lines[-40:]))

    def close(self):
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(HANG_S)
        finally:
            self._process.stdin.close()

    def _read(self):
        for line in self._process.stdout:
            self.lines.append(line)
            self._coming.put(line)
        self._coming.put(None)


class Reader:
    """Follows pages in one folder. Use as a context: what the pages started is stopped at the end."""

    def __init__(self, folder):
        self.folder, self.terminals = Path(folder), [Terminal(folder)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for terminal in reversed(self.terminals):
            terminal.close()

    def follow(self, page):
        for block in blocks(page):
            if block.file:
                (self.folder / block.file).write_text(block.text, "utf-8")
            elif block.kind == "python":
                raise AssertionError(f"line {block.line}: a program that names no file to save it under")
            elif block.serves:
                self.terminals[-1].type(block, READY)
                self.terminals.append(Terminal(self.folder))
            else:
                self.terminals[-1].type(block, f"^{_END}$")


def alone():
    """What runs a command on a network of its own, where the kernel lets us; elsewhere nothing."""
    programs = all(map(shutil.which, ("unshare", "ip")))
    for command in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        if programs and subprocess.run([*command, "true"], check=False, capture_output=True).returncode == 0:
            return [*command, "bash", "-c", 'ip link set lo up && exec "$@"', "bash"]
    return []


def main(page, folder, _, *command):
    with Reader(folder) as reader:
        reader.follow(Path(page).read_text("utf-8"))
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
