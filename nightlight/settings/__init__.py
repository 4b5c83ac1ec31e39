"""Settings, read once from ``NIGHTLIGHT_*`` environment variables; one class a concern.

Secrets are ``SecretStr``: they print as stars. Where ``NIGHTLIGHT_SECRETS_DIR`` names a folder, a file
there with a variable's name in lower case gives its value, as container platforms mount secrets.
``docs/reference/settings.md`` is generated from this module.
"""

from __future__ import annotations

from typing import get_type_hints

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from nightlight.settings import pictures, process, records, storage, viewers
from nightlight.settings.base import secrets_dir
from nightlight_core.errors import SettingsRefused

# Balancers ask every second or two whether a process is ready.
_SCALE_DRAIN_S = 5.0


class Settings:
    """All concerns, read and checked together; frozen once made."""

    general: process.GeneralSettings
    policy: storage.PolicySettings
    retention: storage.RetentionSettings
    export: storage.ExportSettings
    erasure: storage.ErasureSettings
    records: records.RecordSettings
    catalogue: storage.CatalogueSettings
    queue: process.QueueSettings
    store: storage.StoreSettings
    source: storage.SourceSettings
    buckets: storage.BucketsSettings
    delivery: viewers.DeliverySettings
    relations: viewers.RelationSettings
    authzen: viewers.AuthZenSettings
    quotas: viewers.QuotaSettings
    auth: viewers.AuthSettings
    avatars: viewers.AvatarSettings
    upload: pictures.UploadSettings
    service: process.ServiceSettings
    worker: process.WorkerSettings
    visible_watermark: pictures.VisibleWatermarkSettings
    invisible_watermark: pictures.InvisibleWatermarkSettings
    matching: pictures.MatchingSettings
    provenance: pictures.ProvenanceSettings
    log: process.LogSettings
    tracing: process.TracingSettings

    def __init__(self) -> None:
        """Read every concern from the environment; raise SettingsRefused naming each bad variable."""
        problems: list[str] = []
        for name, concern in CONCERNS.items():
            try:
                object.__setattr__(self, name, concern(**secrets_dir()))
            except ValidationError as error:
                prefix = concern.model_config.get("env_prefix", "")
                for item in error.errors(include_input=False, include_url=False):
                    variable = prefix + "_".join(str(part) for part in item["loc"]).upper()
                    problems.append(f"{variable or prefix}: {item['msg']}")
        if problems:
            raise SettingsRefused("; ".join(problems))

    @property
    def drain_s(self) -> float:
        """Return the seconds for which a service that was told to end serves on."""
        if self.service.drain_s is not None:
            return self.service.drain_s
        return _SCALE_DRAIN_S if self.general.deployment is process.Deployment.SCALE else 0.0

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: settings do not change while a process runs."""
        raise AttributeError(f"settings are frozen: {name}")


# Every concern, by its name.
CONCERNS: dict[str, type[BaseSettings]] = get_type_hints(Settings)
