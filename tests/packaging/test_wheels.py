"""What is in the two wheels: each its own packages, everything of them, and no file of the other's."""

import subprocess
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from packaging.requirements import Requirement

from nightlight.cli import project, project_files
from tests.conftest import ROOT
from tests.packaging.conftest import CLIENT
from tests.support.environments import build, metadata_of

# The client is for every backend of a platform: it must cost next to nothing to install.
CLIENT_BYTES = 300_000


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheels")
    paths = build(CLIENT, folder), build(ROOT, folder)
    with zipfile.ZipFile(paths[0]) as client, zipfile.ZipFile(paths[1]) as server:
        yield client, server


def names(archive):
    return {name for name in archive.namelist() if not name.endswith("/")}


def tops(archive):
    return {PurePosixPath(name).parts[0] for name in names(archive)}


def tracked(folder, *packages):
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", *packages],
        cwd=folder, check=True, capture_output=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    return {name for name in listed if name and (folder / name).is_file()}


def test_the_clients_wheel_has_the_clients_packages_and_is_small(wheels):
    client, _ = wheels
    assert tops(client) == {"nightlight_core", "nightlight_client", "nightlight_client-0.1.0.dist-info"}
    size = Path(client.filename).stat().st_size
    print(f"the client's wheel: {size:,} bytes")  # noqa: T201 - a figure to look at
    assert size < CLIENT_BYTES
    assert {name for name in names(client) if ".dist-info/" not in name} == tracked(
        CLIENT, "nightlight_core", "nightlight_client"
    )


def test_the_servers_wheel_has_the_servers_packages_the_default_policies_and_what_compose_mounts(wheels):
    _, server = wheels
    assert tops(server) == {"nightlight", "service", "workers", "nightlight-0.1.0.dist-info"}
    mounted = (f"infra/{name}" for name in project_files.MOUNTED)
    data = tracked(ROOT, "policies", f"infra/{project.COMPOSE}", *mounted)
    copies = {f"nightlight/default_{name}": name for name in data}
    packages = tracked(ROOT, "nightlight", "service", "workers")
    assert {name for name in names(server) if ".dist-info/" not in name} == packages | copies.keys()
    for inside, outside in copies.items():
        assert server.read(inside) == (ROOT / outside).read_bytes()


def test_no_file_is_in_both(wheels):
    client, server = wheels
    assert names(client) & names(server) == set()


def test_the_server_needs_the_client_of_its_own_version_and_the_client_needs_little(wheels):
    client, server = map(metadata_of, wheels)
    assert client["Version"] == server["Version"]
    needed = [Requirement(text) for text in server.get_all("Requires-Dist")]
    (own,) = (requirement for requirement in needed if requirement.name == "nightlight-client")
    assert (str(own.specifier), own.extras, own.marker) == (f"=={client['Version']}", {"local"}, None)
    assert {"fastapi", "celery", "sqlalchemy", "c2pa-python"} <= {
        requirement.name for requirement in needed if requirement.marker is None
    }
    assert {"heic", "jxl", "inventory", "pkcs11", "exchange", "report", "demo"} <= set(server.get_all("Provides-Extra"))
    assert [str(Requirement(text)) for text in client.get_all("Requires-Dist")] == [
        "certifi>=2024.2.2",
        "httpx>=0.28",
        "urllib3>=2.2",
        'cryptography>=44; extra == "local"',
    ]


def test_the_locks_leave_the_client_to_the_tree():
    locks = sorted((ROOT / "infra/requirements").glob("*.txt"))
    assert len(locks) >= 8
    for lock in locks:
        text = lock.read_text("utf-8")
        assert "nightlight" not in text
        assert "://" not in text
        assert text.count("==") <= text.count("--hash=sha256:")
