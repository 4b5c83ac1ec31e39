"""What the commands of investigators and safety teams reach, and workers too."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightlight.catalogue.clock import shared_clock
from nightlight.catalogue.engine import Catalogue
from nightlight.flows.pictures.hash_lists import Screening
from nightlight.flows.pictures.notices import NoticeScreening
from nightlight.flows.policies.policy_holder import PolicyHolder
from nightlight.flows.takedowns.search import FindCopies
from nightlight.flows.traces.search import TraceSearch
from nightlight.imaging.renderer import Renderer
from nightlight.settings import Settings
from nightlight.wiring.components import open_catalogue, policy_holder, s3_access
from nightlight.wiring.live_keys import LiveKeys
from nightlight_core.clock import Clock, system_clock
from nightlight_core.errors import SettingsRefused

if TYPE_CHECKING:
    from nightlight.flows.takedowns.list_exchange import ExchangeLists
    from nightlight.matching.list_index import HashListIndex
    from nightlight.provenance.pkcs11 import HsmKey
    from nightlight.provenance.signing import ManifestSigner
    from nightlight.store.kms import KmsKey
    from nightlight.watermark.detect import DetectionResult


@contextmanager
def open_trace_search(settings: Settings, clock: Clock = system_clock) -> Iterator[TraceSearch]:
    """Give what traces found copies: the catalogue, the sandbox, the mark's keys, and the index in the data folder."""
    with open_catalogue(settings) as catalogue, closing(Renderer(settings)) as rendering:
        clock = shared_clock(catalogue, clock)
        yield trace_search(settings, catalogue, rendering, policy_holder(settings, catalogue, clock), clock)


def manifest_signing(settings: Settings, clock: Clock, live: LiveKeys | None = None) -> ManifestSigner | None:
    """Return what signs manifests, None where nothing is set to sign with; raise SettingsRefused."""
    from nightlight.provenance.signing import ManifestSigner, SigningCredential
    from nightlight.settings.base import require

    provenance = settings.provenance
    if provenance.chain is None:
        return None
    kept = remote_signing_key(settings)
    key = kept.sign if kept else Path(require(str(provenance.key or ""), "NIGHTLIGHT_PROVENANCE_KEY"))
    chain, anchors = provenance.chain, provenance.anchors
    paths = [path for path in (chain, key, anchors) if isinstance(path, Path)]
    file = (live or LiveKeys()).add(
        "c2pa",
        paths,
        lambda: SigningCredential.read(chain, key, anchors),
        {"c2pa": lambda credential: [credential.key_id], "c2pa_roots": lambda credential: credential.root_ids},
    )
    signer = ManifestSigner(file.value, clock, tsa_url=provenance.tsa_url)
    file.then(signer.use)
    return signer


def remote_signing_key(settings: Settings) -> KmsKey | HsmKey | None:
    """Return the key for manifests that KMS or a token keeps, None if it is in a file; raise SettingsRefused."""
    provenance = settings.provenance
    if sum(source is not None for source in (provenance.key, provenance.kms_key, provenance.pkcs11_module)) > 1:
        raise SettingsRefused("one of NIGHTLIGHT_PROVENANCE_KEY, _KMS_KEY and _PKCS11_MODULE signs: set one of them")
    if provenance.kms_key is not None:
        from nightlight.store.kms import KmsKey

        return KmsKey(provenance.kms_key, replace(s3_access(settings), endpoint_url=provenance.kms_endpoint_url))
    if provenance.pkcs11_module is not None:
        from nightlight.provenance.pkcs11 import HsmKey

        if find_spec("pkcs11") is None:
            message = "NIGHTLIGHT_PROVENANCE_PKCS11_MODULE needs the extra: pip install 'nightlight[pkcs11]'"
            raise SettingsRefused(message)
        if not provenance.pkcs11_token or not provenance.pkcs11_key or provenance.pkcs11_pin is None:
            message = "NIGHTLIGHT_PROVENANCE_PKCS11_TOKEN, _KEY and _PIN say which key of the module signs: set them"
            raise SettingsRefused(message)
        pin = provenance.pkcs11_pin.get_secret_value()
        return HsmKey(provenance.pkcs11_module, provenance.pkcs11_token, provenance.pkcs11_key, pin)
    return None


def hash_lists(settings: Settings) -> HashListIndex:
    """Return the hash lists that uploads are held against; raise SettingsRefused where there is no folder of them."""
    from nightlight.matching.list_index import HashListIndex

    folder = settings.matching.lists_dir
    if folder is None:
        raise SettingsRefused("NIGHTLIGHT_MATCHING_LISTS_DIR is not set: there are no hash lists")
    return HashListIndex(folder.resolve(), _index_dir(settings))


def screening_if_set(settings: Settings, catalogue: Catalogue, clock: Clock = system_clock) -> Screening | None:
    """Return what holds pictures against the hash lists, None where there is no folder of them."""
    if settings.matching.lists_dir is None:
        return None
    return Screening(catalogue, hash_lists(settings), clock, platform.node())


@contextmanager
def open_screening(settings: Settings, clock: Clock = system_clock) -> Iterator[Screening]:
    """Give what knows the hash lists as they were and are; raise SettingsRefused where there is no folder of them."""
    lists = hash_lists(settings)
    with open_catalogue(settings) as catalogue:
        clock = shared_clock(catalogue, clock)
        yield Screening(catalogue, lists, clock, platform.node())


@contextmanager
def open_list_exchange(settings: Settings, clock: Clock = system_clock) -> Iterator[ExchangeLists]:
    """Give what takes hash lists from membership programmes, and gives lists to them."""
    from nightlight.flows.takedowns.list_exchange import ExchangeLists

    concern = settings.matching
    with open_catalogue(settings) as catalogue:
        clock = shared_clock(catalogue, clock)
        yield ExchangeLists(catalogue, concern.lists_dir, concern.import_formats, concern.export_lists, clock)


def notice_screening(settings: Settings, catalogue: Catalogue) -> NoticeScreening:
    """Return what holds pictures against the standing takedown notices."""
    return NoticeScreening(catalogue, _index_dir(settings) / "takedowns", settings.matching.takedown_unlike)


def find_copies(settings: Settings, catalogue: Catalogue, traces: TraceSearch) -> FindCopies:
    """Return what finds every copy of a picture."""
    return FindCopies(catalogue, _index_dir(settings) / "views", traces, settings.matching.takedown_unlike)


def _index_dir(settings: Settings) -> Path:
    return (settings.matching.index_dir or settings.general.data_dir / "index").resolve()


def trace_search(
    settings: Settings, catalogue: Catalogue, rendering: Renderer, policy: PolicyHolder, clock: Clock
) -> TraceSearch:
    """Return what traces copies, with these parts."""

    def detect(pixels: Any) -> DetectionResult:
        sides = {recipe.edge for recipe in policy.current().recipes if recipe.invisible_watermark != "none"}
        return rendering.detect(pixels, sorted(sides))

    return TraceSearch(catalogue, _index_dir(settings), rendering.decode_copy, detect, clock)
