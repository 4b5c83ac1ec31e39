"""Settings of pictures: what uploads may be, how renditions are watermarked and signed, which lists are searched."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from nightlight.settings.base import config


class UploadSettings(BaseSettings):
    """Caps on uploads, and how long an asserted age band stands."""

    model_config = config("NIGHTLIGHT_UPLOAD_")

    # A phone's 200-megapixel JPEG has 40 to 60 MB.
    max_bytes: int = Field(default=64_000_000, ge=1_000, le=100_000_000)
    """Largest upload, in bytes."""
    # 16,384 x 12,288, a phone's largest, are 201.3 million.
    max_pixels: int = Field(default=202_000_000, ge=1, le=202_000_000)
    """Most pixels (width times height) of a JPEG, which is decoded at a scale; of other formats 65 million at most."""
    max_side: int = Field(default=65_500, ge=1, le=65_500)
    """Longest side of a JPEG, in pixels; of any other format 16,384 at most."""
    # The sandbox with a picture of 125 MB in it stays under 160 MB (docs/performance.md).
    max_decode_bytes: int = Field(default=125_000_000, ge=1_000_000, le=1_000_000_000)
    """Most memory, in bytes, that an upload's header lets its decoding take."""
    max_decode_cpu_s: float = Field(default=5.0, gt=0, le=60)
    """Most CPU seconds that an upload's header lets its decoding take, by estimate."""
    slow_decode_cpu_s: float = Field(default=0.25, gt=0, le=60)
    """CPU seconds of decoding, by estimate, from which a picture is slow: it waits behind others, and they do not wait
    behind it."""
    profile_pending: int = Field(default=3, ge=1, le=1_000)
    """Pictures of one profile that may wait among those of others; further ones wait behind them all."""
    max_fill_bytes: int = Field(default=65_536, ge=0, le=100_000_000)
    """Most bytes without meaning, such as fill bytes before a JPEG's markers."""
    max_segments: int = Field(default=1_000, ge=100, le=100_000)
    """Most segments of a JPEG, chunks of a PNG or WebP besides pixels and frames, extensions of a GIF, boxes of an AVIF
    or HEIC, and items in each list of theirs."""
    max_scans: int = Field(default=100, ge=12, le=1_000)
    """Most scans of a JPEG; encoders write 3 to 12."""
    heic: bool = True
    """Accept HEIC, as phones write it."""
    jxl: bool = False
    """Accept JPEG XL. The workers need the extra `jxl`."""
    assertion_days: int = Field(default=30, ge=1, le=365)
    """Days after which an asserted age band lapses to `unknown`."""
    idempotency_hours: int = Field(default=24, ge=1, le=168)
    """Hours that an Idempotency-Key is kept."""


class ProvenanceSettings(BaseSettings):
    """C2PA manifests, in tiers that ask for one: for the workers."""

    model_config = config("NIGHTLIGHT_PROVENANCE_")

    chain: Path | None = None
    """PEM file of the signing certificate and its issuers, without the root; `nightlight provenance init` makes one for
    development. Unset: tiers that ask for provenance wait."""
    key: Path | None = None
    """PEM file of its private key."""
    kms_key: str | None = None
    """A key of AWS KMS (ECC_NIST_P256; id, alias or ARN) that signs instead of `key`."""
    kms_endpoint_url: str | None = None
    """KMS endpoint; unset for AWS."""
    pkcs11_module: Path | None = None
    """PKCS#11 module (the vendor's .so) with a key, P-256 or Ed25519, that signs instead of `key`."""
    pkcs11_token: str = ""
    """Label of the token."""
    pkcs11_key: str = ""
    """Label of the key pair in it."""
    pkcs11_pin: SecretStr | None = None
    """The user's PIN of the token."""
    anchors: Path | None = None
    """PEM file of roots: a signed picture is published only if it reads back as trusted by them. Unset: if it reads
    back as valid."""
    tsa_url: str | None = None
    """RFC 3161 authority that time-stamps signatures; unset: they have no time stamp."""


class VisibleWatermarkSettings(BaseSettings):
    """The visible watermark, in tiers that ask for one. Unset: crescents. It must say nothing about age."""

    model_config = config("NIGHTLIGHT_VISIBLE_WATERMARK_")

    text: str = ""
    """Text to draw, at most 40 characters, such as the platform's name."""
    logo: Path | None = None
    """PNG file whose alpha channel is drawn instead of text."""
    font: Path | None = None
    """TrueType or OpenType file for the text; unset: the font that comes with Pillow."""


class InvisibleWatermarkSettings(BaseSettings):
    """The invisible watermark, in tiers that ask for one. Only workers and trace searches need its keys."""

    model_config = config("NIGHTLIGHT_INVISIBLE_WATERMARK_")

    keys: SecretStr | None = None
    """Keys of the invisible watermark, as `id:base64,id:base64`: the first writes, all are searched for when tracing.
    Each adds about a second to a search. The watermarks of a lost key can never be read again."""


class MatchingSettings(BaseSettings):
    """Perceptual hashes: the index for trace searches, and hash lists."""

    model_config = config("NIGHTLIGHT_MATCHING_")

    index_dir: Path | None = None
    """Folder of the index that `nightlight trace` keeps, about 110 bytes a rendition; unset: `index` in the data
    folder. It can be deleted at any time: it is made again from the catalogue."""
    lists_dir: Path | None = None
    """Folder of hash lists that uploads are compared with: each `NAME.csv` is a list, with a column `hash` (PDQ), `md5`
    or both, and optional columns `quality` and `reference`. An upload on a list is quarantined. Put the exports of the
    programmes that you are a member of here; no list comes with Nightlight."""
    import_formats: frozenset[Literal["csv", "threatexchange", "stopncii", "ncmec"]] = frozenset()
    """Forms of membership programmes that `nightlight lists import` reads, as JSON: `["stopncii", "ncmec"]`. Unset: it
    reads none."""
    export_lists: frozenset[str] = frozenset()
    """What `nightlight lists export` may give out, as JSON: names of hash lists, and `notices:KIND` for the hashes of
    standing takedown notices of that kind: `["own", "notices:intimate_image"]`. Unset: nothing."""
    takedown_unlike: int = Field(default=20, ge=1, le=10_000)
    """Pictures unlike each other that one hash of a takedown notice may match. One that matches more is set aside:
    what it alone has found is not hidden until a person has confirmed it."""
    takedowns_per_hour: int = Field(default=120, ge=1, le=100_000)
    """Takedown notices that one caller may place over HTTP in an hour: they wait in one lane with revocations."""
    review_hours: int = Field(default=4, ge=1, le=24)
    """Hours for which a softened picture of a notice or a match can be looked at; after a day its bucket's rule deletes
    it too."""
    reviews_per_hour: int = Field(default=1_000, ge=1, le=100_000)
    """Softened pictures that the workers make in an hour, of all notices together; more of them wait."""
    traces_per_hour: int = Field(default=600, ge=1, le=100_000)
    """Trace searches that one caller may ask for over HTTP in an hour."""
    trace_days: int = Field(default=30, ge=1, le=365)
    """Days after which a trace that was requested over HTTP is deleted, with its copy if that was kept."""
