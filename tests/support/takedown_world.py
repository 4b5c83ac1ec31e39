"""The flows with takedown notices: real hashes of real pictures, the real indices, the real sandbox."""

import io
import tempfile

from nightlight.catalogue import images
from nightlight.catalogue.events import TAKEN_DOWN
from nightlight.catalogue.profiles import Declaration
from nightlight.catalogue.schema import events as events_table
from nightlight.catalogue.schema import images as images_table
from nightlight.catalogue.takedown_schema import takedown_reviews, view_hashes
from nightlight.catalogue.takedown_schema import takedowns as takedowns_table
from nightlight.delivery.object_names import ObjectNames
from nightlight.delivery.purge import EdgePurge
from nightlight.flows.pictures.notices import NoticeScreening
from nightlight.flows.pictures.revoke import RotateNames
from nightlight.flows.takedowns.make_review_picture import MakeReviewPicture
from nightlight.flows.takedowns.notice_copies import NoticeCopies
from nightlight.flows.takedowns.requests import Notice, PlaceTakedowns, ReviewTakedowns
from nightlight.flows.takedowns.review import ReviewSoftened
from nightlight.flows.takedowns.run import RunTakedown
from nightlight.flows.takedowns.search import FindCopies
from nightlight.flows.traces.search import TraceSearch
from nightlight.imaging.renderer import Renderer
from nightlight.settings import Settings
from nightlight.settings.pictures import MatchingSettings, UploadSettings
from nightlight.store.interface import PutOnly, unsealed
from nightlight.store.local import LocalStore
from tests.support.flow_container import Switch

NOTICE = Notice("intimate_image", "case-81")


def begin_afresh(services):
    """What earlier tests left does not stand, and is not published."""
    with services.catalogue.transaction() as tx:
        tx.connection.execute(images_table.update().values(state=images.DELETED))
        for table in (takedown_reviews, view_hashes):
            tx.connection.execute(table.delete())
        tx.connection.execute(events_table.delete().where(events_table.c.takedown_id.is_not(None)))
        tx.connection.execute(takedowns_table.delete())
        tx.takedowns.change_list()


class TakedownWorld:
    """A deployment: profiles upload pictures, and a worker does what waits."""

    def __init__(self, services, folder, pipeline, monkeypatch, *, receipts=None, unlike=20):
        self.services, self.catalogue, self.clock = services, services.catalogue, services.clock
        self.rendering = Renderer(Settings())
        monkeypatch.setattr(self.rendering, "_pipeline", pipeline)
        traces = TraceSearch(
            self.catalogue, folder / "index", self.rendering.decode_copy, lambda p: self.rendering.detect(p, [320]),
            self.clock,
        )  # fmt: skip
        self.find = FindCopies(self.catalogue, folder / "index/views", traces, unlike)
        self.notices = NoticeScreening(self.catalogue, folder / "index/takedowns", unlike)
        object.__setattr__(services.render, "notices", self.notices)
        runner = services.render.runner
        soften, self.reviews = self.rendering.review_picture, Switch(LocalStore(folder / "exports"))
        copies = NoticeCopies(services.originals, soften, unsealed, 20_000_000)
        self.run = RunTakedown(
            runner, services.originals, self.rendering.notice_lumas, self.find, traces, unsealed, 20_000_000, copies,
            receipts,
        )  # fmt: skip
        self.limits = MatchingSettings()
        self.softened = MakeReviewPicture(
            runner, services.originals, self.reviews, soften, self.limits, unsealed, 20_000_000, copies
        )
        self.look = ReviewSoftened(self.catalogue, self.reviews.get, self.clock)
        self.place = PlaceTakedowns(
            self.catalogue, PutOnly(services.originals), UploadSettings(), lambda: 48.0, self.clock
        )
        self.review = ReviewTakedowns(self.catalogue, self.clock)
        self.rename = RotateNames(
            runner, services.renditions, ObjectNames(bytes(32)), EdgePurge(None, token=None, timeout_s=1)
        )

    def profile(self, name, band="age_13_15"):
        declared = Declaration(band, "verified", "eu", "connections")
        self.services.declare.declare(name, declared, follow_band=False, actor="t")
        return name

    def upload(self, name, data):
        """Upload a picture for a profile that is declared here, and do what waits; return the image's id."""
        self.profile(name)
        self.services.views = self.rendering.match_lumas(data, None)
        image_id = self.services.upload(name, data).image_id
        self.work()
        return image_id

    def notice_on_picture(self, data):
        with tempfile.TemporaryFile() as file:
            file.write(data)
            return self.place.of_picture(file, NOTICE, actor="safety").takedown_id

    def work(self):
        """Do everything that waits, whatever it leads to; return the endings."""
        services, endings = self.services, []
        run = {
            "nightlight.render": services.render.run, "nightlight.takedown": self.run.run,
            "nightlight.rotate_names": self.rename.run, "nightlight.erase": services.erase.run,
            "nightlight.verify_erasure": services.erase.verify,
            "nightlight.retention_tags": services.retention_tags.run,
            "nightlight.review_picture": self.softened.run, "nightlight.delete_review": self.softened.delete,
        }  # fmt: skip
        while True:
            services.relay.run_once()
            sent, services.sent[:] = list(services.sent), []
            if not sent:
                return endings
            endings += [run[task](job_id, redelivered=False) for task, job_id in sent]

    def events(self, kind=TAKEN_DOWN):
        """Return (profile, image) of the events of a kind that wait to be delivered."""
        with self.catalogue.reading() as tx:
            waiting = events_table.select().where(events_table.c.taken_at.is_(None))
            rows = tx.connection.execute(waiting.where(events_table.c.kind == kind))
            return {(row.profile_id, row.image_id) for row in rows}

    def events_about_notices(self):
        """Return (kind, notice) of the events about notices that wait to be delivered."""
        with self.catalogue.reading() as tx:
            waiting = events_table.select().where(events_table.c.taken_at.is_(None))
            rows = tx.connection.execute(waiting.where(events_table.c.takedown_id.is_not(None)))
            return {(row.kind, row.takedown_id) for row in rows}

    def shown(self, name):
        with self.catalogue.reading() as tx:
            return tx.profiles.get(name).current_image_id

    def verdicts(self, takedown_id):
        return {match.image_id: match.verdict for match in self.review.status(takedown_id).matches}


def jpeg(picture, quality=85):
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
