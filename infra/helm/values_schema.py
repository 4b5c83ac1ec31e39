"""Write the schema that Helm holds the chart's values to, or check that it is up to date.

    .venv/bin/python infra/helm/values_schema.py            write infra/helm/nightlight/values.schema.json
    .venv/bin/python infra/helm/values_schema.py --check    exit 1 if it differs from what would be written

Settings come from the code: a name that there is not is refused, and so is a secret that is given as text.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from nightlight.jobs.lanes import LANES
from nightlight.settings import CONCERNS

HERE = Path(__file__).parent / "nightlight"
PROCESSES = ("migrate", "service", "worker", "schedule", "keeper", "edge")
Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NAME: Schema = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"}
FLAG: Schema = {"type": "boolean"}
SIZE: Schema = {"type": "string", "pattern": "^[0-9]+(Mi|Gi|Ti)$"}
PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
# An exact version, or a digest; a tag such as `latest` or `1` means another image tomorrow.
IMAGE: Schema = {
    "type": "string",
    "pattern": r"^[a-z0-9./:_-]+(:v?\d+\.\d+\.\d+([-+.][A-Za-z0-9.-]+)?|@sha256:[0-9a-f]{64})$",
}
# What Kubernetes itself describes: checked by the cluster, and in the tests.
ANY: Schema = {"type": "object"}
PEERS: Schema = {"type": "array", "items": ANY}
STRINGS: Schema = {"type": "object", "additionalProperties": TEXT}


def count(least: int, most: int = 10_000) -> Schema:
    """Return the schema of a whole number."""
    return {"type": "integer", "minimum": least, "maximum": most}


def fields(**known: Schema) -> Schema:
    """Return the schema of an object that has these fields and no others."""
    return {"type": "object", "properties": known, "additionalProperties": False}


def plain_settings() -> list[str]:
    """Return the names of every setting that is no secret."""
    return sorted(
        f"{concern.model_config.get('env_prefix', '')}{name}".upper()
        for concern in CONCERNS.values()
        for name, field in concern.model_fields.items()
        if SecretStr not in getattr(field.annotation, "__args__", ())
    )


def schema() -> Schema:
    """Return the schema of the chart's values."""
    settings = {
        "type": "object",
        "propertyNames": {"enum": plain_settings()},
        "additionalProperties": {"type": ["string", "null"]},
    }
    service_settings = {
        **settings,
        "required": ["NIGHTLIGHT_DELIVERY_BASE_URL"],
        "properties": {"NIGHTLIGHT_DELIVERY_BASE_URL": {"type": "string", "pattern": "^https?://"}},
    }
    secret = fields(name=NAME, keys={"type": "array", "items": {"type": "string", "pattern": "^[a-z0-9._]+$"}})
    store = fields(port=PORT, to=PEERS)
    lanes = fields(**{lane: count(0, 256) for lane in LANES})
    messages = fields(**{lane: count(1, 100_000) for lane in LANES})
    group = fields(
        children=lanes, replicas=count(0), min=count(1), max=count(1), messages=messages, resources=ANY
    )  # fmt: skip
    group["required"] = ["children", "replicas", "min", "max", "messages", "resources"]
    known = {
        "images": fields(
            service=IMAGE,
            worker=IMAGE,
            edge=IMAGE,
            pullPolicy={"enum": ["Always", "IfNotPresent", "Never"]},
            pullSecrets={"type": "array", "items": NAME},
        ),
        "settings": fields(all=settings, service=service_settings, worker=settings, keeper=settings),
        "secrets": fields(**dict.fromkeys(PROCESSES, secret)),
        "serviceAccounts": fields(**{name: STRINGS for name in PROCESSES if name != "migrate"}),
        "service": fields(replicas=count(1), resources=ANY),
        "workers": fields(
            groups={"type": "object", "propertyNames": NAME, "additionalProperties": group, "minProperties": 1},
            autoscaling=fields(
                enabled=FLAG,
                pollSeconds=count(1, 3600),
                scaleDownAfterSeconds=count(0, 3600),
                brokerSecret=fields(name=NAME, key=TEXT),
            ),
            indexSize=SIZE,
            lists=ANY,
        ),
        "schedule": fields(replicas=count(1), resources=ANY),
        "keeper": fields(enabled=FLAG, everySeconds=count(1, 86_400), resources=ANY),
        "migrate": fields(deadlineSeconds=count(10, 86_400), resources=ANY),
        "edge": fields(
            enabled=FLAG,
            replicas=count(1, 100),
            accessKeyId=TEXT,
            region=TEXT,
            bucket=NAME,
            s3={"type": "string", "pattern": "^([A-Za-z0-9.-]+:[0-9]+)?$"},
            listAgeSeconds=count(1, 3600),
            cacheMegabytes=count(16, 1_000_000),
            resources=ANY,
            ingress=fields(enabled=FLAG, className=TEXT, host=TEXT, tlsSecret=TEXT, annotations=STRINGS),
        ),
        "network": fields(
            enabled=FLAG, callers=PEERS, viewers=PEERS, monitoring=PEERS, dns=PEERS,
            postgres=store, rabbitmq=store, redis=store, s3=store,
            moreEgress=fields(**dict.fromkeys(("service", "worker", "schedule", "keeper"), PEERS)),
        ),
        "monitoring": fields(enabled=FLAG, intervalSeconds=count(5, 600), labels=STRINGS, dashboardLabels=STRINGS),
        "pods": fields(nodeSelector=STRINGS, tolerations=PEERS, priorityClassName=TEXT),
        "global": ANY,
    }  # fmt: skip
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of Nightlight's chart",
        **fields(**known),
    }


def main() -> int:
    """Write the schema, or say whether it is as it would be written."""
    path, text = HERE / "values.schema.json", json.dumps(schema(), indent=1) + "\n"
    if "--check" not in sys.argv[1:]:
        path.write_text(text, "utf-8")
    elif not path.exists() or path.read_text("utf-8") != text:
        sys.stderr.write(f"{path.name} is not up to date: run infra/helm/values_schema.py\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
