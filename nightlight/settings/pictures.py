"""Settings of pictures: what is taken in, how it is marked, what it is held against."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from nightlight.settings.base import config


class IntakeSettings(BaseSettings):
    """Caps on uploads, and how long an asserted age band stands."""

    model_config = config("NIGHTLIGHT_INTAKE_")

    # 20 MB holds a 50-megapixel camera JPEG at its usual 3 bits a pixel (50e6 * 3 / 8 = 19 MB).
    max_upload_bytes: int = Field(default=20_000_000, ge=1_000, le=20_000_000, description="Largest upload, in bytes.")
    # 50 MP in RGB is 150 MB decoded; a worker of two children stays under half a GB.
    max_pixels: int = Field(default=50_000_000, ge=1, le=50_000_000, description="Most pixels (width times height).")
    # The longest side that WebP can hold is 16,383; the cap of 16,384 keeps one power of two for all formats.
    max_side: int = Field(default=16_384, ge=1, le=16_384, description="Longest side, in pixels.")
    # A 12-megapixel AVIF takes 124 MB. The cage with that in it stays under 160 MB (docs/performance.md).
    max_decode_bytes: int = Field(
        default=125_000_000,
        ge=1_000_000,
        le=1_000_000_000,
        description="Most memory, in bytes, that an upload's header lets its decoding take.",
    )
    max_decode_cpu_s: float = Field(
        default=2.0,
        gt=0,
        le=60,
        description="Most CPU seconds that an upload's header lets its decoding take, by estimate.",
    )
    slow_decode_cpu_s: float = Field(
        default=0.25,
        gt=0,
        le=60,
        description="CPU seconds of decoding, by estimate, from which a picture is a slow one: it waits behind others, "
        "and they do not wait behind it.",
    )
    profile_pending: int = Field(
        default=3,
        ge=1,
        le=1_000,
        description="Pictures of one profile that may wait for their rendering among those of others; more of it wait "
        "behind them.",
    )
    max_fill_bytes: int = Field(
        default=65_536,
        ge=0,
        le=20_000_000,
        description="Most bytes that mean nothing, such as fill bytes before a JPEG's markers.",
    )
    max_segments: int = Field(
        default=1_000,
        ge=100,
        le=100_000,
        description="Most segments of a JPEG, chunks of a PNG or WebP besides pixels and frames, extensions of a GIF, "
        "boxes of an AVIF or HEIC, and items in each list of theirs.",
    )
    max_scans: int = Field(default=100, ge=12, le=1_000, description="Most scans of a JPEG; encoders write 3 to 12.")
    heic: bool = Field(
        default=False, description="Accept HEIC too. The workers need the `heic` extra; it is decoded in the cage only."
    )
    assertion_days: int = Field(
        default=30, ge=1, le=365, description="Days after which an asserted age band lapses to `unknown`."
    )
    idempotency_hours: int = Field(default=24, ge=1, le=168, description="Hours that an Idempotency-Key is kept.")


class ProvenanceSettings(BaseSettings):
    """C2PA manifests, in tiers that ask for one: for the workers."""

    model_config = config("NIGHTLIGHT_PROVENANCE_")

    chain: Path | None = Field(
        default=None,
        description="PEM file of the certificate that signs and of whoever issued it, without the root; "
        "`nightlight provenance init` makes one for development. Unset: tiers that ask for provenance wait.",
    )
    key: Path | None = Field(default=None, description="PEM file of its private key.")
    kms_key: str | None = Field(
        default=None,
        description="A key of AWS KMS (ECC_NIST_P256; id, alias or ARN) that signs instead of `key`.",
    )
    kms_endpoint_url: str | None = Field(default=None, description="KMS endpoint; unset for AWS.")
    pkcs11_module: Path | None = Field(
        default=None,
        description="PKCS#11 module (the vendor's .so) with a key, P-256 or Ed25519, that signs instead of `key`.",
    )
    pkcs11_token: str = Field(default="", description="Label of the token.")
    pkcs11_key: str = Field(default="", description="Label of the key pair in it.")
    pkcs11_pin: SecretStr | None = Field(default=None, description="The user's PIN of the token.")
    anchors: Path | None = Field(
        default=None,
        description="PEM file of roots: what was signed is published only if it reads back as trusted by them. Unset: "
        "if it reads back as valid.",
    )
    tsa_url: str | None = Field(
        default=None, description="RFC 3161 authority that time-stamps signatures; unset: they have no time stamp."
    )


class MarkSettings(BaseSettings):
    """The visible mark, in tiers that ask for one. Unset: crescents. It must not say anything about age."""

    model_config = config("NIGHTLIGHT_MARK_")

    text: str = Field(default="", description="Text to draw, at most 40 characters, such as the platform's name.")
    logo: Path | None = Field(default=None, description="PNG file whose alpha channel is drawn instead of text.")
    font: Path | None = Field(
        default=None, description="TrueType or OpenType file for the text; unset: the font that comes with Pillow."
    )


class HiddenMarkSettings(BaseSettings):
    """The hidden mark, in tiers that ask for one. Only workers, and whoever traces, need its keys."""

    model_config = config("NIGHTLIGHT_HIDDEN_MARK_")

    keys: SecretStr | None = Field(
        default=None,
        description="Keys of the hidden mark, as `id:base64,id:base64`: the first marks, all are looked for when "
        "tracing. Each more takes a search about a second longer; one that is lost can never be read again.",
    )


class MatchingSettings(BaseSettings):
    """Perceptual hashes, by which found copies are traced."""

    model_config = config("NIGHTLIGHT_MATCHING_")

    index_dir: Path | None = Field(
        default=None,
        description="Folder of the index that `nightlight trace` keeps, about 110 bytes a rendition; unset: `index` in "
        "the data folder. It can be deleted at any time: it is made again from the catalogue.",
    )
    lists_dir: Path | None = Field(
        default=None,
        description="Folder of hash lists that uploads are held against: each `NAME.csv` is one, with a column `hash` "
        "and perhaps `quality` and `reference`. What is on one is quarantined. Put what a programme you are a member "
        "of exports here; no list comes with Nightlight.",
    )
    traces_per_hour: int = Field(
        default=600, ge=1, le=100_000, description="Traces that one caller may ask for over HTTP in an hour."
    )
    trace_days: int = Field(
        default=30,
        ge=1,
        le=365,
        description="Days after which a trace that was asked for over HTTP is forgotten, with a copy that was kept.",
    )
