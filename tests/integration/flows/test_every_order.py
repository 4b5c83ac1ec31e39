"""An erasure, a hold, a takedown and an export of one profile, in every order of two: each does what it says."""

import itertools

import pytest

from nightlight.catalogue import images
from nightlight.flows.exports import document
from nightlight.flows.retention.legal_holds import PlaceHolds
from nightlight_core.errors import NotFound
from tests.integration.flows.test_exports import content_of, exporting, files_of  # noqa: F401 - a fixture
from tests.integration.flows.test_takedowns import key, picture, world  # noqa: F401 - fixtures
from tests.support.takedown_world import NOTICE, jpeg

pytestmark = pytest.mark.integration
ERASURE, HOLD, TAKEDOWN, EXPORT = "erasure", "hold", "takedown", "export"
OTHERS = "nobody-else"


class Account:
    """One profile with one picture, and what can be done about it."""

    def __init__(self, world, services, name, data):  # noqa: F811
        self.world, self.services, self.name = world, services, name
        self.holds = PlaceHolds(services.catalogue, services.clock)
        self.image_id = world.upload(name, data)
        self.takedown_id, self.exported, self.refused = None, None, {}

    def work(self):
        services = self.services
        more = {
            "nightlight.export": services.make.run, "nightlight.delete_export": services.make.delete,
            "nightlight.remove_rows": services.rows.run,
        }  # fmt: skip
        run = {
            "nightlight.takedown": self.world.run.run, "nightlight.rotate_names": self.world.rename.run,
            "nightlight.erase": services.erase.run, "nightlight.verify_erasure": services.erase.verify,
            "nightlight.retention_tags": services.retention_tags.run, "nightlight.render": services.render.run, **more,
        }  # fmt: skip
        while True:
            services.relay.run_once()
            sent, services.sent[:] = list(services.sent), []
            if not sent:
                return
            for task, job_id in sent:
                if task != "nightlight.copy_to_vault":  # it needs the S3 server's object lock: test_holds.py
                    run[task](job_id, redelivered=False)

    def do(self, what):
        try:
            getattr(self, what)()
        except NotFound as error:
            self.refused[what] = error
        self.work()

    def erasure(self):
        self.services.delete.profile(self.name, actor="t")

    def hold(self):
        self.holds.place(profile_id=self.name, kind="legal", reference="case-81", until=None, actor="officer")
        with self.services.catalogue.transaction() as tx:  # as the worker that copied it into the vault does
            tx.legal_holds.put(self.image_id, [], self.services.clock())
            tx.legal_holds.placed(self.image_id)

    def takedown(self):
        self.takedown_id = self.world.place.of_image(self.image_id, NOTICE, actor="safety").takedown_id

    def export(self):
        self.services.export.ask(self.name, seal_to=None, actor="desk")
        self.work()
        self.exported = content_of(files_of(self.services.export.give(self.name, actor="desk").data))

    def prove(self):
        """Let the time pass after which it is looked again whether anything is left."""
        self.services.clock.forward(hours=2)
        self.services.reconciler.run_once()
        self.work()

    def image(self):
        with self.services.catalogue.reading() as tx:
            return tx.images.get(self.image_id)

    def shown(self):
        with self.services.catalogue.reading() as tx:
            profile = tx.profiles.get(self.name)
            return profile.current_image_id if profile is not None else None


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations((ERASURE, HOLD, TAKEDOWN, EXPORT), 2)))
def test_each_does_what_it_says_whatever_came_before(world, exporting, picture, profile_id, first, second):  # noqa: F811
    account = Account(world, exporting, f"{profile_id}-a", jpeg(picture))
    bystander = world.upload(f"{profile_id}-b", jpeg(picture.rotate(37, expand=True).resize((300, 300))))
    account.do(first)
    account.do(second)
    done = {first, second}

    # What is erased, held or taken down is shown to nobody; what was only exported is shown as before.
    assert account.shown() == (account.image_id if done == {EXPORT} else None)
    # Whoever is erased can be neither held, nor taken down, nor exported any more.
    assert set(account.refused) == ({second} if first == ERASURE else set())

    if first == EXPORT or (second == EXPORT and first != ERASURE):
        (entry,) = account.exported["pictures"]
        assert entry["state"] == ("current" if first == EXPORT else "not_available")
        assert (entry["original"] is None) == (first != EXPORT)
        assert account.exported["format"] == document.FORMAT
    if first == EXPORT:  # an export that was ready is not given out any more
        with pytest.raises(NotFound):
            account.services.export.give(account.name, actor="desk")
        assert not list(account.services.exports_store.store.keys())

    account.prove()
    if ERASURE in done:
        held = HOLD in done and first == HOLD
        # A hold that was placed before keeps the rows, as the receipt says; nothing else does.
        assert (account.image() is not None) == held
        if held:
            assert account.image().state == images.DELETED
        else:
            with account.services.catalogue.reading() as tx:
                assert tx.profiles.get(account.name) is None
    elif HOLD in done:
        assert account.image().state == images.HELD
    if account.takedown_id is not None:
        world.review.undo(account.takedown_id, why="a mistake", actor="safety")
        account.work()
        if done != {TAKEDOWN, EXPORT}:  # what is erased or held does not come back with a notice that was wrong
            assert account.shown() is None
        else:
            assert account.shown() == account.image_id
    assert world.shown(f"{profile_id}-b") == bystander
