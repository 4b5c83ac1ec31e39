"""A saved plan of lifecycle rules: what a person reviewed, and the state that it was made for.

The file is no order: whoever applies it makes the plan again, and it is carried out only if it comes out the same. So
what somebody changes in the file changes no bucket.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightlight_core import files
from nightlight_core.errors import InvalidInput, LifecycleRefused

if TYPE_CHECKING:
    from nightlight.retention.lifecycle_plan import LifecyclePlan

FORMAT = "nightlight-lifecycle-plan/1"
_MOST_BYTES = 50_000_000


def write_plans(path: Path, plans: Sequence[tuple[LifecyclePlan, Mapping[str, Any]]], now: datetime) -> None:
    """Write plans, each with what is told of it; the digest is what they are known by."""
    entries = [{**summary, "bucket": plan.bucket, "digest": plan.digest} for plan, summary in plans]
    document = {"format": FORMAT, "made_at": now.isoformat(), "plans": entries}
    path.write_text(json.dumps(document, indent=2, default=str) + "\n", "utf-8")


def read_digests(path: Path) -> dict[str, str]:
    """Return the digest of each bucket's plan in a file; raise InvalidInput where it is no saved plan."""
    try:
        document = json.loads(files.read_bytes(path, _MOST_BYTES))
        if document["format"] != FORMAT:
            raise InvalidInput(f"{path} is a saved plan of another release: {document['format']!r}")
        return {str(entry["bucket"]): str(entry["digest"]) for entry in document["plans"]}
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{path} is no saved plan") from error


def refuse_stale(plan: LifecyclePlan, digest: str) -> None:
    """Raise LifecycleRefused unless a plan that was made now is the one that was saved."""
    if plan.digest != digest:
        message = "its rules, the policy or what was applied have changed since the plan was saved; plan again"
        raise LifecycleRefused(f"{plan.bucket}: {message}")
