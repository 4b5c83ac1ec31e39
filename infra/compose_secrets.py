"""Make what infra/compose.yaml needs and no repository may hold: keys, passwords, and a folder of secrets a process.

    .venv/bin/python infra/compose_secrets.py

Writes infra/secrets and infra/.env, as nightlight.cli.compose_secrets says; what is there is kept.
"""

from pathlib import Path

from nightlight.cli.compose_secrets import write_all

if __name__ == "__main__":
    write_all(Path(__file__).parent)
