"""``make api-fuzz``: requests made from the service's own OpenAPI document, by schemathesis, with authentication.

python -m tests.parity.requests [--examples N] [--seed N]
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from nightlight.cli import key_commands
from tests.support.stacks import Embedded

# Words of the policy's vocabulary are in no document: what is well formed may still name none of them.
_EXCLUDED = "positive_data_acceptance"
_MOST_S = 900


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=100, help="for each operation")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    settings = {"NIGHTLIGHT_MATCHING_TRACES_PER_HOUR": "100000"}
    with tempfile.TemporaryDirectory() as folder, Embedded(Path(folder), **settings) as stack:
        token = key_commands.token(stack.folder, scopes=None, subject="api-fuzz", hours=1)
        command = [
            str(Path(sys.executable).parent / "schemathesis"), "run", f"{stack.url}/openapi.json",
            "--checks", "all", "--exclude-checks", _EXCLUDED, "--phases", "examples,coverage,fuzzing",
            "--max-examples", str(options.examples), "--seed", str(options.seed), "--request-timeout", "10",
            "--suppress-health-check", "all", "--no-color", "-H", f"Authorization: Bearer {token}",
        ]  # fmt: skip
        return subprocess.run(command, check=False, timeout=_MOST_S, cwd=folder).returncode


if __name__ == "__main__":
    sys.exit(main())
