"""What a Compose deployment needs and no repository may hold: keys, passwords, and a folder of secrets a process.

``nightlight init --services real`` and, in a checkout, ``infra/compose_secrets.py`` write it: ``secrets``, which only
you can enter, and ``.env``, which only you can read. The keys are for development; put yours in ``secrets/keys`` under
the same names, and then run, in the folder of compose.yaml, what keeps everything that is there::

    python -m nightlight.cli.compose_secrets

The files of ``secrets/run`` can be read by everybody who gets there. Nobody on this machine does but you and root. A
container's user, who is neither, is given the folder of its own process as a mount, and sees no other.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from nightlight.cli import key_commands
from nightlight_core.decisions.placeholder import placeholder_bytes
from nightlight_core.files import private_file, private_folder, read_text, replace_file

PASSWORDS = (
    "POSTGRES_PASSWORD", "POSTGRES_SERVICE_PASSWORD", "POSTGRES_WORKER_PASSWORD", "POSTGRES_SCHEDULE_PASSWORD",
    "POSTGRES_IMPORTS_PASSWORD", "POSTGRES_KEEPER_PASSWORD", "POSTGRES_OPERATOR_PASSWORD", "RABBITMQ_PASSWORD",
    "S3_OWNER_SECRET", "S3_SERVICE_SECRET", "S3_WORKER_SECRET", "S3_KEEPER_SECRET", "S3_EDGE_SECRET",
    "EDGE_PURGE_TOKEN",
)  # fmt: skip
_WORKER = (
    "DELIVERY_NAME_KEY", "INVISIBLE_WATERMARK_KEYS", "POLICY_PUBLISHER_KEYS", "RETENTION_RECEIPT_KEY",
    "PROVENANCE_CHAIN", "PROVENANCE_KEY", "PROVENANCE_ANCHORS", "ERASURE_KEYS",
)  # fmt: skip
# What each process is given, besides its database role, its S3 identity and the keys that seal.
GIVEN = {
    "migrate": (),
    "service": (
        "DELIVERY_NAME_KEY", "DELIVERY_SIGNING_KEYS", "RELATIONS_KEYS", "AUTH_JWKS", "POLICY_PUBLISHER_KEYS",
        "POLICY_SAFETY_KEYS", "ERASURE_KEYS",
    ),
    "worker": _WORKER,
    "schedule": _WORKER,
    "keeper": ("DELIVERY_NAME_KEY", "POLICY_PUBLISHER_KEYS", "RETENTION_RECEIPT_KEY"),
}  # fmt: skip
# The identity that each process has at the S3 server, and whose seal keys; the schedule builds what a worker does.
IDENTITY = {"service": "service", "worker": "worker", "schedule": "worker", "keeper": "keeper"}
_MOUNTED_AT = "/run/nightlight"
_READ_BY_ALL = 0o444


def settings_of(process: str, keys: Path, passwords: dict[str, str]) -> dict[str, str]:
    """Return the secret settings of a process: variable to value. A key that is a file is named by its path."""
    every = key_commands.environment(keys)
    settings = {f"NIGHTLIGHT_{name}": every[f"NIGHTLIGHT_{name}"] for name in GIVEN[process]}
    role, variable = f"nightlight_{process}", f"POSTGRES_{process.upper()}_PASSWORD"
    if process == "migrate":  # who owns the tables
        role, variable = "nightlight", "POSTGRES_PASSWORD"
    settings["NIGHTLIGHT_CATALOGUE_URL"] = f"postgresql+psycopg://{role}:{passwords[variable]}@postgres/nightlight"
    if process in {"worker", "schedule"}:
        settings["NIGHTLIGHT_QUEUE_BROKER_URL"] = f"amqp://nightlight:{passwords['RABBITMQ_PASSWORD']}@rabbitmq//"
        settings["NIGHTLIGHT_DELIVERY_PURGE_TOKEN"] = passwords["EDGE_PURGE_TOKEN"]
    if process in IDENTITY:
        identity = IDENTITY[process]
        settings["NIGHTLIGHT_STORE_SECRET_ACCESS_KEY"] = passwords[f"S3_{identity.upper()}_SECRET"]
        settings |= key_commands.seal_environment(keys, identity)
    return settings


def write_folder(folder: Path, settings: dict[str, str]) -> None:
    """Write a file a setting into ``folder``, as NIGHTLIGHT_SECRETS_DIR is read; keys that are files go beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    for variable, value in settings.items():
        if value.endswith((".json", ".pem")):  # no key in base64 does
            _write(folder / Path(value).name, Path(value).read_bytes())
            value = f"{_MOUNTED_AT}/{Path(value).name}"  # noqa: PLW2901 - where the process finds it
        _write(folder / variable.lower(), value.encode())


def write_all(root: Path) -> None:
    """Write ``root``/secrets and ``root``/.env; what is there of keys and passwords is kept."""
    keys = root / "secrets"
    key_commands.init(keys)
    environment = root / ".env"
    private_file(environment)
    # The first is of an earlier release: the edge has a file now.
    lines = [line for line in read_text(environment).splitlines() if not line.startswith("EDGE_SIGNING_KEYS=")]
    passwords = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    for name in PASSWORDS:
        if not passwords.get(name):
            passwords[name] = secrets.token_hex(24)  # letters and digits only: some go into URLs
            lines.append(f"{name}={passwords[name]}")
    replace_file(environment, "\n".join(lines) + "\n")
    every = key_commands.environment(keys)
    private_folder(keys / "run")
    for process in GIVEN:
        write_folder(keys / "run" / process, settings_of(process, keys, passwords))
    edge = keys / "run" / "edge"
    write_folder(edge, {})
    _write(edge / "placeholder.webp", placeholder_bytes())
    ring = "NIGHTLIGHT_DELIVERY_SIGNING_KEYS"
    write_folder(keys / "run" / "edge-keys", {ring: every[ring]})


def _write(path: Path, content: bytes) -> None:
    """Write in one step: processes that run read it again."""
    if path.exists() and path.read_bytes() == content:
        return
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    part.chmod(_READ_BY_ALL)
    part.replace(path)


if __name__ == "__main__":
    write_all(Path())
