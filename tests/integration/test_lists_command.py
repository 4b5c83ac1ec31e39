"""``nightlight lists import`` and ``export``: what they print, and how they end."""

import json

import pytest

from nightlight.catalogue import migrate
from nightlight.catalogue.engine import Catalogue
from tests.support.command import run_command

pytestmark = pytest.mark.integration
A, B = "ab" * 32, "cd" * 32


@pytest.fixture
def lists(tmp_path):
    """The command, with lists in CSV allowed in and one list allowed out."""
    environment = {
        "NIGHTLIGHT_CATALOGUE_URL": f"sqlite:///{tmp_path / 'c.sqlite3'}", "NIGHTLIGHT_DATA_DIR": str(tmp_path / "data"),
        "NIGHTLIGHT_MATCHING_LISTS_DIR": str(tmp_path), "NIGHTLIGHT_MATCHING_IMPORT_FORMATS": '["csv"]',
        "NIGHTLIGHT_MATCHING_EXPORT_LISTS": '["members"]', "NIGHTLIGHT_RETENTION_RECEIPT_KEY": str(tmp_path / "key"),
    }  # fmt: skip
    (tmp_path / "key").write_text(json.dumps({"kid": "test", "d": "A" * 43}))
    catalogue = Catalogue(environment["NIGHTLIGHT_CATALOGUE_URL"])
    migrate.upgrade(catalogue.engine)
    catalogue.close()

    def run(*arguments, **more):
        settings = {name: value for name, value in {**environment, **more}.items() if value is not None}
        return run_command(["lists", *arguments], settings)

    return run


def page(tmp_path, *hashes):
    path = tmp_path / "page.txt"
    path.write_text("\n".join(hashes))
    return path


def test_an_import_ends_with_2_where_renders_will_wait(lists, tmp_path):
    done = lists("import", "members", page(tmp_path, A, B), "--json")
    assert (done.returncode, json.loads(done.stdout)["entries"]) == (0, 2)
    done = lists("import", "members", page(tmp_path, A))
    assert done.returncode == 2
    assert "lists confirm-change members" in done.stdout


def test_an_export_has_its_receipt_beside_it(lists, tmp_path):
    lists("import", "members", page(tmp_path, A, B))
    done = lists("export", "members", "--format", "csv", "--out", tmp_path / "out.csv", "--json")
    assert (done.returncode, json.loads(done.stdout)["entries"]) == (0, 2)
    assert json.loads((tmp_path / "out.csv.receipt.json").read_text()) == json.loads(done.stdout)["receipt"]


@pytest.mark.parametrize(
    ("arguments", "more", "code"),
    [
        (("import", "members", "page.txt"), {"NIGHTLIGHT_MATCHING_IMPORT_FORMATS": "[]"}, "settings_refused"),
        (("import", "members", "page.txt", "--format", "ncmec"), {}, "settings_refused"),
        (("import", "../members", "page.txt"), {}, "invalid_input"),
        (("import", "members", "nothing.txt"), {}, "invalid_input"),
        (("export", "others", "--out", "out"), {}, "settings_refused"),
        (("export", "members", "--out", "out"), {}, "not_found"),
        (("export", "members", "--out", "out"), {"NIGHTLIGHT_RETENTION_RECEIPT_KEY": None}, "settings_refused"),
    ],
)
def test_what_is_refused_ends_with_1_and_writes_nothing(lists, tmp_path, monkeypatch, arguments, more, code):
    monkeypatch.chdir(tmp_path)
    page(tmp_path, A)
    done = lists(*arguments, "--json", **more)
    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (1, code)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith((".", "out", "members"))]
