"""A heavy library never loads in a process that does not use it."""

import subprocess
import sys

import pytest


def loaded(statement, *modules):
    code = f"import sys; {statement}; print(*[m for m in {modules!r} if m in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import service.app", ("PIL", "boto3", "celery")),
        (
            "import nightlight_client; nightlight_client.NightlightClient('https://nightlight.internal', token='t')",
            (
                "PIL",
                "numpy",
                "boto3",
                "celery",
                "sqlalchemy",
                "fastapi",
                "ruamel.yaml",
                "cryptography",
                "pydantic",
                "httpx",
                "asyncio",
            ),
        ),
        (
            "import nightlight_client.local_client, nightlight.policy.signing",
            (
                "PIL",
                "numpy",
                "boto3",
                "celery",
                "sqlalchemy",
                "fastapi",
                "structlog",
                "prometheus_client",
                "ruamel.yaml",
            ),
        ),
        ("import workers.schedule", ("PIL", "boto3", "fastapi")),
        ("import nightlight_core.policy.table", ("PIL", "numpy", "boto3", "celery", "sqlalchemy", "fastapi", "httpx")),
        ("import nightlight.cli.main", ("PIL", "numpy", "boto3", "celery", "sqlalchemy", "fastapi")),
    ],
)
def test_a_process_loads_only_what_it_uses(statement, forbidden):
    assert loaded(statement, *forbidden) == []
