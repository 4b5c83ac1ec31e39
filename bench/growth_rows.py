"""A catalogue of so many profiles, written by INSERT ... SELECT as the flows leave it half a year after the last upload.

A profile has one picture in use, and every tenth one that was replaced in the last days; a picture has a rendition of
each tier. Of jobs, lines of the audit log and blocks there are as many as the terms of docs/retention.md leave where
each profile uploads twice a year.
"""

from __future__ import annotations

import re

from sqlalchemy import text

_IMAGE = "md5('image' || n)"
_NAME = "substr(translate(md5('name' || n || t.tier), '01', 'xy'), 1, 32)"
_KEYS = """(SELECT json_agg(key) FROM (
  SELECT 'a/' || substr(translate(md5('name' || n || tier), '01', 'xy'), 1, 32) || '.webp' AS key FROM tiers
  UNION ALL SELECT 'p/' || md5('p' || n || tier) || md5('q' || n || tier) || '.c2pa' FROM tiers) AS k)"""
_AGO = r"(now() - (n % \1) * interval '1 day' - (n % 86400) * interval '1 second')"

# In this order; ``:n`` is how many profiles.
STATEMENTS = {
    "profiles": """
INSERT INTO profiles (profile_id, state, band, asserted_band, assurance, region, choice, report_flag, asserted_at,
  generation, uploads, current_image_id, created_at)
SELECT 'u-' || n, 'live', band, band, 'verified', (ARRAY['eu','us','uk','br','in'])[1 + n % 5], 'connections', 'clear',
  $ago25, 0, 2, $image, $ago400
FROM (SELECT n, (ARRAY['adult','adult','adult','age_16_17','age_13_15'])[1 + n % 5] AS band
  FROM generate_series(1, :n) AS n) AS s""",
    "images": """
INSERT INTO images (image_id, profile_id, sequence, state, original_key, original_bytes, format, width, height, band,
  ceiling_band, created_at, ready_at, blurhash, superseded_at)
SELECT CASE WHEN old THEN md5('replaced' || n) ELSE $image END, 'u-' || n, CASE WHEN old THEN 1 ELSE 2 END,
  CASE WHEN old THEN 'superseded' ELSE 'ready' END, 'o/' || md5('o' || n || old) || md5('p' || n || old), 68000, 'jpeg',
  1080, 1080, 'adult', 'adult', $ago400, $ago400, 'AcFF:470l}ah',
  CASE WHEN old THEN $ago3 END
FROM generate_series(1, :n) AS n, (VALUES (false), (true)) AS v(old) WHERE NOT old OR n % 10 = 0""",
    "renditions": """
INSERT INTO renditions (name, image_id, tier, generation, recipe, format, bytes, width, height, sha256, face_px,
  no_face_px, watermark, variant, watermark_agreement, manifest, manifest_id, created_at)
SELECT $name, $image, t.tier, 0, t.recipe, 'webp', 8000, 320, 320, md5('s' || n || t.tier) || md5('t' || n || t.tier),
  t.face_px, t.no_face_px, ('x' || substr(md5('w' || n || t.tier), 1, 14))::bit(56)::bigint, 0, 990,
  md5('p' || n || t.tier) || md5('q' || n || t.tier), 'urn:c2pa:' || md5('u' || n || t.tier), $ago400
FROM generate_series(1, :n) AS n, tiers AS t""",
    "rendition_hashes": """
INSERT INTO rendition_hashes (name, hash, quality)
SELECT $name, decode(md5('h' || n) || md5('i' || n), 'hex'), 80
FROM generate_series(1, :n) AS n, tiers AS t WHERE t.tier <> 'tiny'""",
    "screenings": """
INSERT INTO screenings (image_id, hashes, revision)
SELECT $image, decode(repeat(md5('h' || n), 16), 'hex'), 1 FROM generate_series(1, :n) AS n""",
    "view_hashes": """
INSERT INTO view_hashes (image_id, hashes)
SELECT $image, decode(repeat(md5('h' || n), 6), 'hex') FROM generate_series(1, :n) AS n""",
    "jobs": """
INSERT INTO jobs (job_id, kind, lane, image_id, state, attempt, crashes, planned, next_run_at, created_at, finished_at)
SELECT md5('job' || n), 'render', 2, $image, 'done', 1, 0, $keys, $ago90, $ago90,
  $ago90 + interval '1 second'
FROM generate_series(1, :n) AS n WHERE n % 2 = 0""",
    "written_keys": """
INSERT INTO written_keys (image_id, planned) SELECT $image, $keys FROM generate_series(1, :n) AS n WHERE n % 2 = 1""",
    "audit": """
INSERT INTO audit (at, event, image_id, actor, detail)
SELECT $ago400, e.event, CASE e.about WHEN 1 THEN $image WHEN 2 THEN md5('gone' || n) END, 'platform', '{}'
FROM generate_series(1, :n) AS n, (VALUES ('image.receiving', 1), ('image.uploaded', 1), ('image.ready', 1),
  ('image.superseded', 1), ('profile.declared', 0)) AS e(event, about) ORDER BY 1""",
    "audit of what is gone": """
INSERT INTO audit (at, event, image_id, actor, detail)
SELECT $ago90, e.event, md5('gone' || n), 'retention', '{}'
FROM generate_series(1, :n) AS n, (VALUES ('image.superseded'), ('image.deleted')) AS e(event) ORDER BY 1""",
    "blocks": """
INSERT INTO blocks (viewer_id, profile_id, created_at)
SELECT 'v-' || (n % 1000), 'u-' || n, $ago400 FROM generate_series(1, :n) AS n WHERE n % 3 = 0""",
}


def write(connection, profiles: int, recipes) -> None:
    """Fill an empty catalogue on PostgreSQL; triggers and foreign keys are not asked."""
    connection.execute(text("SET session_replication_role = replica"))
    connection.execute(text("SET statement_timeout = 0"))
    connection.execute(text("CREATE TEMP TABLE tiers (tier text, recipe text, face_px int, no_face_px int)"))
    rows = [
        {"tier": r.tier, "recipe": r.digest, "face_px": r.pixels.face_px, "no_face_px": r.pixels.no_face_px}
        for r in recipes
    ]
    connection.execute(text("INSERT INTO tiers VALUES (:tier, :recipe, :face_px, :no_face_px)"), rows)
    for statement in STATEMENTS.values():
        connection.execute(text(_written_out(statement)), {"n": profiles})
    connection.execute(text("SET session_replication_role = origin"))


def _written_out(statement: str) -> str:
    """Return a statement with its expressions in place; ``$ago25`` is a moment of the last 29 days."""
    for name, expression in (("$image", _IMAGE), ("$name", _NAME), ("$keys", _KEYS)):
        statement = statement.replace(name, expression)
    return re.sub(r"\$ago(\d+)", _AGO, statement).replace("::", "\\:\\:")


def sizes(connection) -> dict[str, int]:
    """Return the bytes of each table with its indexes."""
    query = "SELECT relname, pg_total_relation_size(relid) FROM pg_stat_user_tables ORDER BY 2 DESC"
    return {row[0]: row[1] for row in connection.execute(text(query))}
