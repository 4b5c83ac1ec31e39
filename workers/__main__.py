"""``python -m workers work`` runs a Celery worker, ``python -m workers schedule`` the relay and the reconciler.

``python -m workers imports`` listens to the queue of S3 notifications.

Each child of a worker imports this module anew, so it imports little: a child loads the product with its first job.
"""

from __future__ import annotations

import os
import sys
import tempfile

# These are read when billiard, numpy and prometheus_client are imported, so they are set before anything else:
# SIGTERM, which service managers send, begins a soft shutdown; children's metrics are added up in a folder.
os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")
if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="nightlight-metrics-")

from nightlight import one_thread  # noqa: F401 - before numpy is imported

_USAGE = "usage: python -m workers work|schedule|imports\n"


def main(arguments: list[str]) -> int:
    """Run one of the three; 2 if the arguments, the settings or the policy are refused."""
    if arguments not in (["work"], ["schedule"], ["imports"]):
        sys.stderr.write(_USAGE)
        return 2
    from workers import processes

    return processes.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
