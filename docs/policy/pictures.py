"""Pictures of the real tool at work, for the guide: each command is run and its output drawn as SVG.

python docs/policy/pictures.py
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[2]
IMAGES = Path(__file__).parent / "images"
TOOL = Path(sys.executable).parent / "nightlight"
WIDTH = 118

# What an editor did: a rule for Japan, written over India's.
ACCIDENT = [
    ("vocabulary.yaml", "in, my, other]", "in, jp, my, other]"),
    ("rules.yaml", "region: [in, unknown], relation: outsider}", "region: [jp, unknown], relation: outsider}"),
]
MISSPELT = [("rules.yaml", "when: {relation: blocked}", "when: {relation: blokced}")]


def edited(folder: Path, changes: list[tuple[str, str, str]]) -> None:
    """Copy the default pack to ``folder`` and change it."""
    shutil.copytree(ROOT / "policies", folder)
    for file, old, new in changes:
        text = (folder / file).read_text("utf-8")
        (folder / file).write_text(text.replace(old, new, 1), "utf-8")


def picture(name: str, shown: str, folder: Path, *arguments: str) -> None:
    """Run the tool in ``folder`` and draw what it printed under the command ``shown``."""
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
    done = subprocess.run(  # noqa: S603 - our own tool
        [TOOL, "policy", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    console = Console(record=True, width=WIDTH, file=Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    console.print(Text(f"$ nightlight policy {shown}", style="bold"))
    console.print(Text.from_ansi((done.stdout + done.stderr).rstrip()))
    if done.returncode:
        console.print(Text(f"(exit {done.returncode})", style="dim"))
    drawn = console.export_svg(title="nightlight policy", unique_id=name)
    # Rich asks for a font from elsewhere; the reader's own monospace font serves.
    drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)
    (IMAGES / f"{name}.svg").write_text(drawn, "utf-8")


def main() -> None:
    """Draw every picture of the guide."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary)
        edited(base / "policies", [])
        edited(base / "accident", ACCIDENT)
        edited(base / "misspelt", MISSPELT)
        picture("check", "check", base, "check", "policies")
        picture("misspelt", "check", base, "check", "misspelt")
        picture("accident", "check", base, "check", "accident")
        picture("diff", "diff main:policies policies", base, "diff", "policies", "accident")
        question = ["subject_age=age_13_15", "relation=stranger", "region=eu"]
        picture("explain", "explain " + " ".join(question), base, "explain", *question)
        picture("test", "test", base, "test", "policies")
        picture("mutate", "mutate", base, "mutate", "policies")


if __name__ == "__main__":
    main()
