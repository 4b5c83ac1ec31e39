"""The flows that render pictures again, over a real catalogue and real folders, with a policy that a test edits."""

from types import SimpleNamespace

from sqlalchemy import delete

from nightlight.catalogue.policy_schema import rerenders
from nightlight.catalogue.schema import images as images_table
from nightlight.delivery.object_names import ObjectNames
from nightlight.delivery.purge import EdgePurge
from nightlight.flows.decisions.change_feed import ChangeFeedPoller
from nightlight.flows.pictures.rerender import Rerender
from nightlight.flows.pictures.rerender_runs import RerenderFeeder, RerenderRuns
from nightlight.flows.pictures.revoke import RotateNames
from nightlight.imaging.recipe import build_recipes
from nightlight.jobs import kinds
from nightlight_core.decisions.answers import evaluate, shown_renditions
from nightlight_core.decisions.profile_views import ProfileViewCache
from tests.support import pictures
from tests.unit.policy.conftest import Edited

CLEARER = ("tiers.yaml", "visible_watermark: soft", "visible_watermark: clear")


class World:
    """The flows, the policies of before and now, and what somebody is given."""

    def __init__(self, services, folder):
        self.services, self.folder, self.count = services, folder, 0
        self.before = self.now = services.table
        self.rerender = Rerender(services.render, lambda: services.recipes, pause=lambda _: None)
        names, edge = ObjectNames(bytes(32)), EdgePurge(None, token=None, timeout_s=1)
        self.rotate = RotateNames(services.render.runner, services.renditions, names, edge)
        self.feeder = RerenderFeeder(services.catalogue, services.clock, lambda: services.recipes)
        self.runs = RerenderRuns(services.catalogue, services.clock)
        self.change_feed = ChangeFeedPoller(
            services.catalogue, ProfileViewCache(most=9, stale_s=1), picture_bytes=1, assertion_days=30, poll_s=1
        )
        with services.catalogue.transaction() as tx:  # what earlier tests of this module left is shown no more
            tx.connection.execute(images_table.update().values(state="deleted"))
            tx.connection.execute(delete(rerenders))

    def edit(self, *changes):
        """Activate the default pack with (file, old, new) replaced."""
        self.count += 1
        edited = Edited(self.folder / str(self.count)).without_cases()
        for change in changes:
            edited.change(*change)
        self.before, self.now = self.now, edited.compiled().table
        self.services.recipes = build_recipes(self.now.tiers, order=("none", *self.now.tiers))
        self.services.clock.forward(seconds=60)

    def upload(self, profile_id):
        image_id = self.services.upload(profile_id, pictures.jpeg(size=(700, 500))).image_id
        assert self.deliver() == ["ready"]
        return image_id

    def deliver(self):
        """Publish what waits and run it, as the broker and a worker would."""
        self.services.relay.run_once()
        sent, self.services.sent[:] = list(self.services.sent), []
        run = {
            kinds.RENDER.task: self.services.render.run,
            kinds.RERENDER.task: self.rerender.run,
            kinds.ROTATE_NAMES.task: self.rotate.run,
        }
        return [run[task](job_id, redelivered=False) for task, job_id in sent if task in run]

    def follow(self):
        """Queue, render and clear until nothing is left; return how jobs ended."""
        endings = []
        for _ in range(20):
            self.feeder.look()
            more = self.deliver()
            endings += more
            if not more and self.runs.progress()[0].run.state == "done":
                return endings
        raise AssertionError("it does not end")

    def shown(self, profile_id, relation="connection", viewer="peer"):
        """The recipe of what somebody is given, None for the placeholder."""
        (view,) = self.change_feed.read([profile_id])
        earlier = self.before if self.before is not self.now else None
        policy = SimpleNamespace(table=self.now, table_for=lambda _: self.now, earlier_for=lambda _: earlier)
        moment = int(self.services.clock().timestamp())
        renditions = shown_renditions(policy, evaluate(policy, (viewer, "profile", relation), view, moment), view)
        return renditions[0].recipe if renditions else None

    def rows(self, image_id):
        with self.services.catalogue.reading() as tx:
            return sorted(tx.images.renditions(image_id), key=lambda row: (row.tier, row.recipe, row.variant))
