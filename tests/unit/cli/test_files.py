"""Files that a command is given: read with a bound, and what is no ordinary file is refused at once."""

import json
import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nightlight.cli.main import app
from nightlight_core import files
from nightlight_core.errors import InvalidInput
from tests.conftest import ROOT
from tests.support import pictures

# What reads files, by its command and option: a new one is added here, and is walked through then.
READS = {
    ("policy activate", "bundle"), ("policy activate", "approval"), ("policy stage", "bundle"),
    ("policy stage", "approval"), ("policy shadow", "bundle"), ("policy build", "key"), ("policy approve", "key"),
    ("policy diff", "traffic"), ("policy rollback", "key"), ("policy rollback", "approval"), ("receipt verify", "receipts"), ("receipt verify", "keys"), ("receipt verify", "anchor"), ("receipt anchor", "key"), ("trace", "files"),
    ("trace", "accuse"), ("render", "picture"), ("provenance check", "file"), ("provenance check", "sidecar"),
    ("provenance check", "anchors"), ("provenance issue", "public_key"),
}  # fmt: skip


@pytest.fixture
def bad(tmp_path):
    """What is no ordinary file, or has no end that anybody would wait for."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(200_000_000_000)
    (tmp_path / "link").symlink_to("/dev/zero")
    paths = {name: str(tmp_path / name) for name in ("pipe", "folder", "sparse", "link")}
    return {"zero": "/dev/zero", **paths}


def test_no_option_reads_what_never_ends(bad, tmp_path):
    bad.pop("link")  # as /dev/zero, for whoever opens it
    (tmp_path / "bad.json").write_text(json.dumps(bad))
    before = Path("/dev/zero").stat().st_mode
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NIGHTLIGHT_")}
    ran = subprocess.run(
        [sys.executable, "-m", "tests.unit.cli.files_walk", tmp_path],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-2000:]
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    walked = {(row["command"], row["param"]) for row in rows}
    assert walked >= READS, READS - walked
    # A folder is what some ask for.
    fine = {"folder": ("refused", "exit")}
    wrong = [
        row for row in rows if not row["outcome"].startswith(fine.get(row["kind"], ("refused", "exit 2", "exit 1")))
    ]
    assert not wrong
    assert Path("/dev/zero").stat().st_mode == before  # nothing but our own folders and files is made private


@pytest.mark.parametrize("kind", ["zero", "pipe", "folder", "sparse", "link"])
def test_the_reader_refuses_what_is_no_ordinary_file_or_too_large(bad, kind):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(OSError, match=r"ordinary file|more than|directory"):
        files.read_bytes(Path(bad[kind]))
    with pytest.raises(OSError, match=r"ordinary file|more than|directory"):
        list(files.lines(Path(bad[kind]), 1000))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_the_reader_reads_up_to_its_bound(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert files.read_bytes(path, 5) == b"12345"
    with pytest.raises(OSError, match="more than 4 bytes"):
        files.read_bytes(path, 4)
    path.write_text("a\n\nb c\nd")
    assert list(files.lines(path, 4)) == ["a", "", "b c", "d"]
    with pytest.raises(OSError, match="a line of more than 3 bytes"):
        list(files.lines(path, 3))


@pytest.mark.parametrize("content", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n", b"\xff\xfe"])
def test_anchors_that_are_none_are_an_error_and_no_verdict(tmp_path, content):
    """Exit code 1 says that the picture is not trusted: nothing was found out about it here."""
    (tmp_path / "a.jpg").write_bytes(pictures.jpeg(64, 64))
    (tmp_path / "root.pem").write_bytes(content)
    result = CliRunner().invoke(
        app, ["provenance", "check", str(tmp_path / "a.jpg"), "--anchors", str(tmp_path / "root.pem")]
    )
    assert isinstance(result.exception, InvalidInput)
    assert "--anchors" in str(result.exception)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_what_is_made_private_is_so_whatever_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        folder = files.private_folder(tmp_path / "a" / "b")
        path = files.private_file(folder / "c")
    finally:
        os.umask(before)
    assert [stat.S_IMODE(entry.stat().st_mode) for entry in (folder, folder.parent, path)] == [0o700, 0o700, 0o600]


def test_what_was_open_to_others_is_tightened(tmp_path):
    folder, path = tmp_path / "a", tmp_path / "a" / "c"
    folder.mkdir(mode=0o755)
    path.write_text("kept")
    path.chmod(0o644)
    files.private_folder(folder)
    files.private_file(path)
    assert [stat.S_IMODE(entry.stat().st_mode) for entry in (folder, path)] == [0o700, 0o600]
    assert path.read_text() == "kept"
