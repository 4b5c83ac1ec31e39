"""Catalogues of any number of profiles, each with a picture in every tier."""

import io
from datetime import UTC, datetime

from sqlalchemy import insert

from nightlight.catalogue.schema import images, profiles, renditions

TIERS = {"tiny": (96, 5), "low": (160, 16), "medium": (320, None), "full": (1024, None)}
PICTURE = bytes(range(250)) * 24
_CHUNK = 20_000


def name_of(number, tier):
    letters = "abcdefghijklmnopqrstuvwxyz234567"
    text = "".join(letters[(number >> shift) & 31] for shift in (20, 15, 10, 5, 0))
    return (tier[0] + text).ljust(32, "q")


def rows(ids, now, recipes=None):
    tiers = [
        (tier, f"bench-{tier}", recipe.edge, recipe.face_px, recipe.no_face_px)
        for tier, recipe in (recipes or {}).items()
    ] or [(tier, "r", edge, face, None) for tier, (edge, face) in TIERS.items()]
    people = [
        {"profile_id": f"p-{n}", "state": "live", "band": "age_16_17", "asserted_band": "age_16_17", "assurance": "verified", "region": "eu",
         "choice": "connections", "report_flag": "clear", "asserted_at": now, "generation": 0, "uploads": 1,
         "current_image_id": f"{n:032x}", "created_at": now} for n in ids]  # fmt: skip
    image_rows = [
        {"image_id": f"{n:032x}", "profile_id": f"p-{n}", "sequence": 1, "state": "ready", "original_key": f"o/{n}",
         "original_bytes": 1, "format": "jpeg", "width": 1, "height": 1, "band": "age_16_17", "ceiling_band": "age_16_17",
         "created_at": now, "ready_at": now, "blurhash": "L" * 36} for n in ids]  # fmt: skip
    shown = [
        {"name": name_of(n, tier), "image_id": f"{n:032x}", "tier": tier, "generation": 0, "recipe": recipe,
         "format": "webp", "bytes": 6000, "width": edge, "height": edge, "sha256": "0" * 64, "face_px": face,
         "no_face_px": no_face, "variant": 0, "created_at": now} for n in ids for tier, recipe, edge, face, no_face in tiers]  # fmt: skip
    return {profiles: people, images: image_rows, renditions: shown}


def fill(catalogue, count, recipes=None):
    """Write ``count`` profiles; on PostgreSQL by COPY and without triggers, as a restored backup would be.

    With ``recipes`` (a policy's, by tier) their pictures are of these; without, they are weaker than any policy's, and
    decisions give the placeholder.
    """
    if recipes is not None:
        with catalogue.transaction() as tx:
            tx.recipes.add({f"bench-{tier}": recipe.pixels for tier, recipe in recipes.items()}, datetime.now(UTC))
    postgresql = catalogue.engine.dialect.name == "postgresql"
    now = datetime.now(UTC)
    with catalogue.engine.begin() as connection:
        if postgresql:
            connection.exec_driver_sql("SET session_replication_role = replica")
        for begin in range(0, count, _CHUNK):
            for table, values in rows(range(begin, min(begin + _CHUNK, count)), now, recipes).items():
                if postgresql:
                    _copy(connection, table, values)
                else:
                    connection.execute(insert(table), values)
        if postgresql:
            connection.exec_driver_sql("SET session_replication_role = origin")
    if postgresql:
        with catalogue.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")


def _copy(connection, table, values):
    columns = list(values[0])
    text = io.StringIO()
    for row in values:
        text.write("\t".join("\\N" if row[name] is None else str(row[name]) for name in columns) + "\n")
    with connection.connection.cursor().copy(f"COPY {table.name} ({', '.join(columns)}) FROM STDIN") as copy:
        copy.write(text.getvalue())
