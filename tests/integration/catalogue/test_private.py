"""The catalogue's files, keys and objects are their owner's alone, whatever the umask was and is."""

import os
import stat

import pytest

from nightlight.catalogue import migrate
from nightlight.catalogue.engine import Catalogue
from nightlight.cli import key_commands
from nightlight.store.local import LocalStore
from nightlight.wiring.components import embedded_catalogue_url
from nightlight_core.errors import SettingsRefused

pytestmark = pytest.mark.integration


def modes(folder):
    """Files and folders that others may do anything with."""
    every = [folder, *folder.rglob("*")]
    return [str(path) for path in every if stat.S_IMODE(path.lstat().st_mode) & 0o077 and not path.is_symlink()]


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_what_is_written_is_its_owners_alone(tmp_path, umask):
    data = tmp_path / "var"
    before = os.umask(umask)
    try:
        key_commands.init(data)
        catalogue = Catalogue(embedded_catalogue_url(data))
        migrate.upgrade(catalogue.engine)
        with catalogue.transaction() as tx:  # its log and its index are there now
            tx.audit.append("x", now=key_commands.system_clock(), actor="t")
            file_names = {path.name for path in data.iterdir()}
        store = LocalStore(data / "originals")
        store.ready()
        with (data / "catalogue.sqlite3").open("rb") as file:
            store.put("o/ab", file, sha256="", content_type="x")
    finally:
        os.umask(before)
    assert {"catalogue.sqlite3", "catalogue.sqlite3-wal", "catalogue.sqlite3-shm"} <= file_names
    # Chains and roots are public; the folder that they are in is not.
    assert [path for path in modes(data) if not path.endswith(("chain.pem", "root.pem"))] == []
    catalogue.close()


def test_what_was_open_to_others_is_tightened_at_the_next_start(tmp_path):
    data = tmp_path / "var"
    catalogue = Catalogue(embedded_catalogue_url(data))
    migrate.upgrade(catalogue.engine)
    catalogue.close()
    key_commands.init(data)
    for path in [data, *data.rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666)
    (data / "catalogue.sqlite3-wal").touch(mode=0o666)
    key_commands.init(data)
    Catalogue(embedded_catalogue_url(data)).close()
    assert [path for path in modes(data) if "provenance" not in path] == []


def test_a_database_that_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "catalogue.sqlite3")
    with pytest.raises(SettingsRefused, match="no ordinary file"):
        Catalogue(f"sqlite:///{tmp_path / 'catalogue.sqlite3'}")
    (tmp_path / "var").write_text("")
    with pytest.raises(SettingsRefused, match="no folder"):
        embedded_catalogue_url(tmp_path / "var")
