"""Settings, read once from ``NIGHTLIGHT_*`` environment variables; one class a concern.

Secrets are ``SecretStr``: they print as stars. Where ``NIGHTLIGHT_SECRETS_DIR`` names a folder, a file
there with a variable's name in lower case gives its value, as container platforms mount secrets.
``docs/reference/settings.md`` is generated from this module.
"""

from __future__ import annotations

from typing import get_type_hints

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from nightlight.settings.base import require, secrets_dir
from nightlight.settings.delivery import (
    AuthSettings,
    DeliverySettings,
    ProviderKind,
    QuotaSettings,
    RelationSettings,
    UrlKind,
)
from nightlight.settings.pictures import (
    InvisibleWatermarkSettings,
    MatchingSettings,
    ProvenanceSettings,
    UploadSettings,
    VisibleWatermarkSettings,
)
from nightlight.settings.process import (
    Deployment,
    Environment,
    GeneralSettings,
    LogSettings,
    QueueSettings,
    SandboxKind,
    ServiceSettings,
    WorkerSettings,
)
from nightlight.settings.storage import (
    BucketsSettings,
    CatalogueSettings,
    PolicySettings,
    RetentionSettings,
    SealMode,
    ServerKind,
    SourceSettings,
    StoreKind,
    StoreSettings,
)
from nightlight_core.errors import SettingsRefused


class Settings:
    """All concerns, read and checked together; frozen once made."""

    general: GeneralSettings
    policy: PolicySettings
    retention: RetentionSettings
    catalogue: CatalogueSettings
    queue: QueueSettings
    store: StoreSettings
    source: SourceSettings
    buckets: BucketsSettings
    delivery: DeliverySettings
    relations: RelationSettings
    quotas: QuotaSettings
    auth: AuthSettings
    upload: UploadSettings
    service: ServiceSettings
    worker: WorkerSettings
    visible_watermark: VisibleWatermarkSettings
    invisible_watermark: InvisibleWatermarkSettings
    matching: MatchingSettings
    provenance: ProvenanceSettings
    log: LogSettings

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

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: settings do not change while a process runs."""
        raise AttributeError(f"settings are frozen: {name}")


# Every concern, by its name.
CONCERNS: dict[str, type[BaseSettings]] = get_type_hints(Settings)

__all__ = [
    "CONCERNS", "AuthSettings", "BucketsSettings", "CatalogueSettings", "DeliverySettings", "Deployment",
    "Environment", "GeneralSettings", "InvisibleWatermarkSettings", "LogSettings", "MatchingSettings",
    "PolicySettings", "ProvenanceSettings", "ProviderKind", "QueueSettings", "QuotaSettings", "RelationSettings",
    "RetentionSettings", "SandboxKind", "SealMode", "ServerKind", "ServiceSettings", "Settings", "SourceSettings",
    "StoreKind", "StoreSettings", "UploadSettings", "UrlKind", "VisibleWatermarkSettings", "WorkerSettings",
    "require",
]  # fmt: skip
