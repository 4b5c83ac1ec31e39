"""The files of a project folder, as ``nightlight init`` writes them.

===============  ==========================================================================================
every folder     policies/ (the default pack), .env, .gitignore
embedded         var/ with keys/ and token; ``nightlight serve`` keeps pictures and catalogue there as well
real services    compose.yaml and the files it mounts, secrets/ with keys/, run/ and token
===============  ==========================================================================================

The pack, the Compose file and what it mounts come from the checkout or the wheel, which has copies of the same files.
"""

from __future__ import annotations

import os
import re
import shutil
from importlib import resources
from pathlib import Path

from nightlight.cli import compose_secrets, key_commands
from nightlight.cli.project import COMPOSE, ENV_FILE, POLICIES, TOKEN, TOKEN_HOURS, Services
from nightlight.settings.default_policies import default_policies
from nightlight_core.errors import SettingsRefused
from nightlight_core.files import private_file, private_folder, replace_file

# What compose.yaml mounts.
MOUNTED = (
    "edge/nginx", "postgres/roles.sh",
    *(f"s3/{identity}-policy.json" for identity in ("edge", "keeper", "service", "worker")),
)  # fmt: skip
_GITIGNORE = """# Keys, passwords, tokens and pictures: none of it belongs into a repository.
/.env
/var/
/secrets/
"""
_ENVIRONMENT = """\
# Settings of this folder. Commands of Nightlight that run here read them; a variable that is set already comes first.
# docs/reference/settings.md of Nightlight has every one. Keep this file to yourself (mode 0600).
"""
_EMBEDDED = """NIGHTLIGHT_SERVICE_HOST=127.0.0.1
NIGHTLIGHT_SERVICE_PORT={port}
# Where viewers' browsers fetch pictures. Unset: the address that the service listens on.
# NIGHTLIGHT_DELIVERY_BASE_URL=https://pictures.example.com
"""
_COMPOSE_HEAD = """\
# The scale deployment on one machine: PostgreSQL, RabbitMQ, Redis, an S3 server, an edge, and Nightlight's processes.
# docs/operations/install.md of Nightlight describes it. The two images are built from a checkout of the same release:
#
#   docker build --file infra/Dockerfile --target service --tag nightlight-service:local CHECKOUT
#   docker build --file infra/Dockerfile --target worker --tag nightlight-worker:local CHECKOUT
#   docker compose up --detach --wait
"""
# A folder of secrets in infra/compose.yaml, after which the folder's own pack is mounted; and where images look for it.
_SECRETS_MOUNT = re.compile(r'"\./secrets/run/(?:migrate|service|worker|schedule|keeper):/run/nightlight:ro"')
_POLICIES_MOUNT = f'"./{POLICIES}:/etc/nightlight/policies:ro"'
_READ_BY_ALL, _ENTERED_BY_ALL = 0o644, 0o755


def write_project(folder: Path, services: Services, port: int) -> None:
    """Write a project into ``folder``, which is there and empty; raise SettingsRefused or OSError."""
    _copy(default_policies(), folder / POLICIES)
    (folder / ".gitignore").write_text(_GITIGNORE, "utf-8")
    if services is Services.EMBEDDED:
        _write_embedded(folder, port)
    else:
        _write_real(folder)
    data_dir = folder / services.data_dir
    token = key_commands.token(data_dir, scopes=None, subject="developer", hours=TOKEN_HOURS)
    replace_file(data_dir / TOKEN, token + "\n")


def compose_text() -> str:
    """Return infra/compose.yaml as a folder without a checkout needs it: no builds, and the folder's own policies."""
    text = (_infra() / COMPOSE).read_text("utf-8")
    text = _COMPOSE_HEAD + text[text.index("name: nightlight\n") :]
    text = re.sub(r"^ +build: .*\n", "", text, flags=re.MULTILINE)
    return _SECRETS_MOUNT.sub(lambda mount: f"{mount[0]}, {_POLICIES_MOUNT}", text)


def _write_embedded(folder: Path, port: int) -> None:
    data_dir = private_folder(folder / Services.EMBEDDED.data_dir)
    key_commands.init(data_dir)
    keys = {
        name: os.path.relpath(path, folder.resolve()) for name, path in key_commands.live_environment(data_dir).items()
    }
    general = _general(Services.EMBEDDED, "embedded")
    _write_environment(folder, [*_lines(general), _EMBEDDED.format(port=port).rstrip("\n"), *_lines(keys)])


def _write_real(folder: Path) -> None:
    compose_secrets.write_all(folder)
    infra = _infra()
    for name in MOUNTED:
        _copy(infra / name, folder / name)
    (folder / COMPOSE).write_text(compose_text(), "utf-8")
    passwords = (folder / ENV_FILE).read_text("utf-8").splitlines()
    _write_environment(folder, [*_lines(_general(Services.REAL, "scale")), *passwords])


def _general(services: Services, deployment: str) -> dict[str, str]:
    return {
        "NIGHTLIGHT_DEPLOYMENT": deployment,
        "NIGHTLIGHT_DATA_DIR": services.data_dir,
        "NIGHTLIGHT_POLICY_DIR": POLICIES,
    }


def _write_environment(folder: Path, lines: list[str]) -> None:
    private_file(folder / ENV_FILE)
    replace_file(folder / ENV_FILE, _ENVIRONMENT + "\n".join(lines) + "\n")


def _lines(settings: dict[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in settings.items()]


def _infra() -> Path:
    """Return the folder of the Compose file: inside the installed package, or beside it in a checkout."""
    package = Path(str(resources.files("nightlight")))
    # pyproject.toml puts these files of the checkout's `infra` into the wheel under this name.
    for folder in (package / "default_infra", package.parent / "infra"):
        if (folder / COMPOSE).is_file():
            return folder
    raise SettingsRefused("the Compose file is not installed: use a wheel or a checkout of Nightlight")


def _copy(source: Path, target: Path) -> None:
    """Copy a file or a folder, to be read by everybody whatever the umask: the users of containers read them."""
    if not target.parent.exists():
        target.parent.mkdir()
        target.parent.chmod(_ENTERED_BY_ALL)
    if source.is_dir():
        shutil.copytree(source, target, copy_function=shutil.copyfile)
    else:
        shutil.copyfile(source, target)
    for path in (target, *target.rglob("*")):
        executable = path.is_dir() or path.suffix == ".sh"
        path.chmod(_ENTERED_BY_ALL if executable else _READ_BY_ALL)
