"""Virtual environments that hold what a lock names and nothing else."""

import email
import re
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

_PINNED = re.compile(r"^[A-Za-z0-9][^\s\\]*==.*?(?= \\$|$)", re.MULTILINE)


def build(project, folder):
    """Build the wheel of a project from the tree, by what is installed here; returns its path."""
    place = folder / project.name
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(place)]
    done = subprocess.run(command, cwd=project, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = place.iterdir()
    return wheel


def metadata_of(archive):
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(archive.read(name))


class Clean:
    """A virtual environment without pip, and without what is installed where the tests run."""

    def __init__(self, folder):
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        self.python = folder / "bin/python"
        names = {"base": str(folder), "platbase": str(folder)}
        self.packages = Path(sysconfig.get_path("purelib", "venv", names))

    def install(self, *arguments):
        """Install by pip what the arguments say, without what that depends on."""
        command = [sys.executable, "-m", "pip", "--python", str(self.python), "install", "--no-deps", "--no-compile"]
        done = subprocess.run([*command, *arguments], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def link(self, lock, only=()):
        """Take over what a lock names from where the tests run, where it was installed by its hashes.

        Every version must be the lock's. Links in place of copies: half a gigabyte would be read and written.
        """
        for line in _PINNED.findall(lock.read_text("utf-8")):
            requirement = Requirement(line)
            if only and requirement.name not in only:
                continue
            if requirement.marker is None or requirement.marker.evaluate():
                self._take(metadata.distribution(requirement.name), requirement)

    def run(self, *command, cwd, **how):
        """Run a program of this environment, in a folder, with no settings and no path from here."""
        environment = {
            "PATH": f"{self.python.parent}:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(cwd),
            "LANG": "C.UTF-8",
        }
        return subprocess.run(
            [str(self.python.parent / command[0]), *map(str, command[1:])],
            cwd=cwd, env=environment, check=False, capture_output=True, text=True, **how,
        )  # fmt: skip

    def _take(self, installed, requirement):
        assert installed.version in requirement.specifier, f"{requirement} is pinned, {installed.version} is installed"
        for file in installed.files:
            if ".." in file.parts or "__pycache__" in file.parts:  # a script in bin, or what Python compiled
                continue
            target = self.packages / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(file.locate())
