"""What must be so once the writers rest and every fault is healed: nothing lost, nothing twice, nothing left behind."""

import time

from sqlalchemy import func, select

from nightlight.catalogue.schema import audit, images, jobs, outbox
from nightlight.jobs.kinds import KINDS
from tests.chaos import coloured
from tests.support.objects import all_keys

# Kinds that nobody waits for, since they are put off by hours.
_AT_ONCE = tuple(kind.name for kind in KINDS.values() if kind.delay is None)
_FINAL = {"ready", "superseded", "deleted"}


def wait(run, seconds):
    """Return the seconds until no job waits and no message is left; None if that takes longer than ``seconds``."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds and not run.stopping.is_set():
        if not open_work(run):
            return time.monotonic() - begun
        time.sleep(0.5)
    return None


def open_work(run):
    """How many jobs of each kind wait, and messages."""
    with run.deployment.catalogue.reading() as tx:
        query = select(jobs.c.kind, jobs.c.state, func.count()).where(
            jobs.c.state.in_(("queued", "leased")), jobs.c.kind.in_(_AT_ONCE)
        )
        waiting = {
            f"{row[0]} {row[1]}": row[2] for row in tx.connection.execute(query.group_by(jobs.c.kind, jobs.c.state))
        }
        unsent = tx.connection.execute(select(func.count()).select_from(outbox)).scalar_one()
    return waiting | ({"outbox": unsent} if unsent else {})


def check(run):
    """Report whatever is wrong with what was acknowledged so far."""
    _images(run)
    _shown(run)
    _left_behind(run)


def _acknowledged(row):
    """An upload that broke off leaves a row for some minutes; one that another of its key was faster than is erased."""
    return row.state not in {"receiving", "deleted"}


def _images(run):
    with run.deployment.catalogue.reading() as tx:
        rows = list(
            tx.connection.execute(select(images.c.image_id, images.c.profile_id, images.c.state, images.c.reason))
        )
        query = select(audit.c.image_id, audit.c.event, func.count()).where(
            audit.c.event.in_(("image.ready", "image.erased", "image.uploaded", "image.accepted"))
        )
        counts = {
            (row[0], row[1]): row[2] for row in tx.connection.execute(query.group_by(audit.c.image_id, audit.c.event))
        }
    states = {row.image_id: row for row in rows}
    for (image_id, event), count in counts.items():
        if count > 1 and (image_id, event) not in run.noted:
            run.noted.add((image_id, event))
            run.violation("done twice", f"{event} {count} times for {image_id}")
    owned = {}
    for row in filter(_acknowledged, rows):
        owned.setdefault(row.profile_id, set()).add(row.image_id)
    for profile in run.profiles:
        if profile.unsure:
            continue
        known = {version.image_id for version in profile.versions.values() if version.image_id}
        extra = owned.get(profile.profile_id, set()) - known
        if extra:
            run.violation("done twice", f"{profile.profile_id} has {len(extra)} images more than uploads")
        for version in profile.versions.values():
            row = states.get(version.image_id)
            if version.image_id and version.erased_at == float("inf") and (row is None or row.state not in _FINAL):
                state = "no row" if row is None else f"{row.state} {row.reason}"
                if (version.image_id, "state") not in run.noted:
                    run.noted.add((version.image_id, "state"))
                    run.violation("acknowledged and lost", f"upload {version.number} of {profile.profile_id}: {state}")


def _shown(run):
    """The owner of every profile sees the upload that was acknowledged last."""
    time.sleep(1.5)  # as far behind as the feed may be
    with run.deployment.client_at("service", budget_s=20.0) as client:
        for profile in run.profiles:
            if profile.unsure:
                continue
            if profile.expected is None and not profile.statement.deleted:
                continue
            version = None if profile.statement.deleted else profile.versions[profile.expected]
            (decision,) = client.decide("peer", "profile", [(profile.profile_id, "self")], viewer_id=profile.profile_id)
            answer = client.fetch(decision.url)
            number, shown, edge = coloured.read(answer.content) if answer.status == 200 else (None, None, 0)
            is_placeholder = answer.status != 200 or edge == 128
            if version is None:
                if not is_placeholder:
                    run.violation("not dark in time", f"{profile.profile_id} shows {shown} and should show nothing")
            elif is_placeholder or (number, shown) != (
                profile.number % coloured.NUMBERS,
                version.number % coloured.NUMBERS,
            ):
                detail = (
                    f"{profile.profile_id} shows {'nothing' if is_placeholder else shown}, not upload {version.number}"
                )
                run.violation("acknowledged and lost", detail)


def _left_behind(run):
    """No object of an erased picture is in a bucket."""
    erased = {
        version.image_id
        for profile in run.all_profiles
        for version in profile.versions.values()
        if version.image_id and version.erased_at != float("inf")
    }
    stored = set(all_keys(run.deployment))
    with run.deployment.catalogue.reading() as tx:
        for image_id in erased:
            row = tx.images.get(image_id)
            keys = set(tx.jobs.planned_keys(image_id)) | ({row.original_key} if row else set())
            if left := keys & stored:
                run.violation("not erased", f"{len(left)} objects of image {image_id}")
