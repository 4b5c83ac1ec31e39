"""Delete what installed packages bring and no process of Nightlight's reads. Prints the bytes that are left.

    python infra/requirements/prune.py /opt/nightlight/lib/python3.13/site-packages

Packages are verified by their hashes when they are installed; this comes after. Whoever needs more of a package, say
another AWS service, leaves its line out.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

# (the package's folder or files, what is kept of it, why the rest goes)
UNUSED = (
    ("c2pa/libs/*", ("libc2pa_c.so",), "a static library for Rust: 31 MB"),
    (
        "botocore/data/*",
        # The services that are called, and those by which credentials are matches; *.json are about all services.
        ("*.json", "s3", "sqs", "kms", "sts", "sso", "sso-oidc", "signin", "cloudfront-keyvaluestore"),
        "descriptions of 430 other services of AWS: 27 MB",
    ),
    ("numpy/**/tests", (), "tests: 15 MB"),
    ("numpy/f2py", (), "a generator of Fortran wrappers"),
    ("sqlalchemy/testing", (), "tests"),
    ("alembic/testing", (), "tests"),
)


def prune(packages: Path) -> None:
    """Delete what ``UNUSED`` names in the folder ``packages``. A line that matches nothing raises FileNotFoundError."""
    for pattern, kept, _why in UNUSED:
        matches = list(packages.glob(pattern))
        if not matches:
            raise FileNotFoundError(
                f"{packages / pattern}: nothing there; bring infra/requirements/prune.py up to date"
            )
        for path in matches:
            if not any(path.match(name) for name in kept):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def used_bytes(folder: Path) -> int:
    """Return what the files in ``folder`` take on a disk of 4-kB blocks."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in files)


def main() -> None:
    """Read the command line, delete, and print the size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", type=Path, help="folder site-packages of an environment")
    packages = parser.parse_args().packages
    prune(packages)
    print(f"{used_bytes(packages) / 1e6:.0f} MB")  # noqa: T201 - what this script is for


if __name__ == "__main__":
    main()
