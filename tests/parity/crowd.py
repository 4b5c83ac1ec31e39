"""Ten thousands of profiles, half of them minors, with pictures from one pool: as if they had been declared and uploaded.

Their rows are written straight into the catalogue, for rendering so many would take an hour: nothing after rendering
depends on who rendered. That declarations and renaming tell nothing either is what the paired flip looks at.
"""

import base64
import hashlib
from io import BytesIO

from sqlalchemy import insert

from nightlight.catalogue.schema import images, profiles, renditions
from nightlight.delivery.object_names import ObjectNames, object_key
from nightlight.policy.compile import compile_folder
from nightlight.store.local import LocalStore
from nightlight_core.clock import system_clock
from nightlight_core.ids import new_image_id
from tests.support.stacks import ROOT

_AT_ONCE = 500


def crowd(stack, pool, bands, tier="tiny"):
    """Make a profile for each of ``bands``; picture and BlurHash of the n-th are those of ``pool[n % len(pool)]``."""
    recipe = compile_folder(ROOT / "policies").table.pixels[tier]
    with stack.catalogue.transaction() as tx:
        tx.recipes.add({"r": recipe}, system_clock())
    names = ObjectNames(base64.b64decode(stack.environment["NIGHTLIGHT_DELIVERY_NAME_KEY"]))
    store = LocalStore(stack.folder / "objects/renditions")
    now, ids = system_clock(), []
    for begin in range(0, len(bands), _AT_ONCE):
        rows = {profiles: [], images: [], renditions: []}
        for number in range(begin, min(begin + _AT_ONCE, len(bands))):
            data, blurhash = pool[number % len(pool)]
            profile_id, image_id = f"crowd-{number:06d}", new_image_id()
            name, digest = names.rendition(image_id, tier, 0, "r"), hashlib.sha256(data).hexdigest()
            store.put(
                object_key(name, "webp"),
                BytesIO(data),
                sha256=digest,
                content_type="image/webp",
            )
            rows[profiles].append({
                "profile_id": profile_id, "state": "live", "band": bands[number], "assurance": "verified", "region": "eu",
                "asserted_band": bands[number],
                "choice": "connections", "report_flag": "clear", "asserted_at": now, "generation": 0, "uploads": 1,
                "current_image_id": image_id, "created_at": now})  # fmt: skip
            rows[images].append({
                "image_id": image_id, "profile_id": profile_id, "sequence": 1, "state": "ready", "created_at": now,
                "original_key": f"o/{image_id}", "original_bytes": 1, "format": "png", "width": 640, "height": 640,
                "band": bands[number], "ceiling_band": bands[number], "ready_at": now, "blurhash": blurhash})  # fmt: skip
            rows[renditions].append({
                "name": name, "image_id": image_id, "tier": tier, "generation": 0, "recipe": "r", "format": "webp",
                "bytes": len(data), "width": recipe.edge, "height": recipe.edge, "sha256": digest,
                "face_px": recipe.face_px, "no_face_px": recipe.no_face_px, "variant": 0, "created_at": now})  # fmt: skip
            ids.append(profile_id)
        with stack.catalogue.transaction() as tx:
            for table, values in rows.items():
                tx.connection.execute(insert(table), values)
        yield len(ids)
    return ids
