"""Where the real services are, as `infra/dev/services.sh env` or their owner says."""

import os
import secrets
import shutil
import subprocess

import pytest

DATABASE = "NIGHTLIGHT_TEST_DATABASE_URL"
BROKER = "NIGHTLIGHT_TEST_BROKER_URL"
REDIS = "NIGHTLIGHT_TEST_REDIS_URL"
S3 = "NIGHTLIGHT_TEST_S3_URL"
S3_OWNER = "NIGHTLIGHT_TEST_S3_OWNER"
S3_SERVICE = "NIGHTLIGHT_TEST_S3_SERVICE"
S3_WORKER = "NIGHTLIGHT_TEST_S3_WORKER"
S3_KEEPER = "NIGHTLIGHT_TEST_S3_KEEPER"


def needed(variable):
    """The value of a service's variable; without one the test is skipped, or fails where that is not allowed."""
    value = os.environ.get(variable)
    if value:
        return value
    message = f"{variable} is not set; `make test` starts the services and sets it"
    if os.environ.get("NIGHTLIGHT_TEST_STRICT"):
        pytest.fail(message)
    pytest.skip(message)


def identity(variable):
    key, _, secret = needed(variable).partition(":")
    return key, secret


def token():
    """A name that no other test run uses."""
    return secrets.token_hex(5)


def node_in(folder):
    """Return the path of node, with what ``folder``'s package-lock.json names installed in it; see missing_tool."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        missing_tool("node and npm")
    if not (folder / "node_modules").is_dir():
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return node


def missing_tool(name):
    """Skip for want of a program that only this test needs, or fail where CI says that it must be there."""
    message = f"{name} not installed"
    if os.environ.get("NIGHTLIGHT_TEST_TOOLS") == "required":
        pytest.fail(message)
    pytest.skip(message)
