import base64
import json
import zlib
from datetime import timedelta

import pytest

from nightlight.catalogue import images
from nightlight.catalogue.matching_schema import hash_lists, screenings
from nightlight.catalogue.profiles import Declaration
from nightlight.catalogue.schema import images as images_table
from nightlight.catalogue.schema import jobs as jobs_table
from nightlight.delivery.object_names import ObjectNames
from nightlight.delivery.purge import EdgePurge
from nightlight.flows.pictures.delete import DeletePictures
from nightlight.flows.pictures.hash_lists import Screening
from nightlight.flows.pictures.image_hashes import ImageHasher
from nightlight.flows.pictures.rescreen import Rescreen
from nightlight.flows.pictures.revoke import RotateNames
from nightlight.flows.policies import approval, emergency, policy_holder, rollout
from nightlight.flows.retention.retention_sweep import Sweep
from nightlight.imaging.renderer import Renderer
from nightlight.jobs.runner import JobRunner
from nightlight.matching import list_index
from nightlight.matching.list_index import HashListIndex
from nightlight.settings import Settings
from nightlight.store.interface import unsealed
from nightlight.store.local import LocalStore
from tests.support.flow_container import START, Clock, FlowContainer, Switch
from tests.support.lists import Folder


@pytest.fixture
def retention(compiled):
    return compiled.retention


@pytest.fixture
def sweep(services, retention):
    return Sweep(
        JobRunner(services.catalogue, services.limits, services.clock),
        DeletePictures(services.catalogue, services.clock),
        lambda: retention,
        lambda: (services.table,),
        30,
        services.rows.leftovers,
    )


@pytest.fixture
def services(catalogue, tmp_path, table, all_recipes, draw):
    services = FlowContainer(
        catalogue,
        Switch(LocalStore(tmp_path / "originals")),
        Switch(LocalStore(tmp_path / "renditions")),
        Clock(),
        [],
        table,
        all_recipes,
        draw,
    )
    services.originals.ready()
    services.renditions.ready()
    with catalogue.transaction() as tx:  # what an earlier test of this module left
        for message in tx.outbox.claim(START + timedelta(days=900), limit=1000, claim_s=1):
            tx.outbox.mark_published([message.message_id])
        tx.connection.execute(jobs_table.update().values(state="done"))
    return services


@pytest.fixture(scope="module")
def packs_once():
    """A rollout computes what it needs of the same bundles once a module: what they compile to, and their differences.

    Both are frozen and follow from the bundles alone; who asks for them, and when, is what these tests are about.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rollout, "failed_checks", _once(rollout.failed_checks, id))
        for module in (rollout, approval, policy_holder):
            patched.setattr(module, "compile_bundle", _once(module.compile_bundle, _meaning))
        for module in (rollout, approval, emergency):
            patched.setattr(module, "diff", _once(module.diff, _differing))
        yield


def _once(function, key_of):
    """Return ``function``, which gives its first answer for each key again; None as a key is for what is not kept."""
    answers = {}

    def answer(*arguments, **more):
        if (key := key_of(*arguments, **more)) is None:
            return function(*arguments, **more)
        if key not in answers:
            answers[key] = function(*arguments, **more), arguments  # while they are kept, no other has their ids
        return answers[key][0]

    return answer


def _meaning(bundle):
    """All that is in a bundle, but for its version."""
    outer = json.loads(bundle.data)
    payload = json.loads(zlib.decompress(base64.b64decode(outer["payload"])))
    return outer["format"], json.dumps({name: payload[name] for name in payload if name != "version"})


def _differing(old, new, traffic=None, *, today=None):
    return None if traffic else (id(old), id(new), today)


@pytest.fixture
def profile_id(services, request):
    name = f"f-{abs(hash(request.node.nodeid)) % 10**12}"
    services.declare.declare(
        name, Declaration("age_13_15", "verified", "eu", "connections"), follow_band=False, actor="t"
    )
    return name


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "lists")


@pytest.fixture
def screened(services, folder, tmp_path, pipeline, monkeypatch):
    """The services, whose uploads are matched against the lists of a folder, read each time."""
    monkeypatch.setattr(list_index, "_RECHECK_S", 0.0)
    with services.catalogue.transaction() as tx:
        for table in (hash_lists, screenings):
            tx.connection.execute(table.delete())
        # Images of earlier tests are not published any more: their objects went with their tests.
        tx.connection.execute(images_table.update().values(state=images.DELETED))
    services.lists = HashListIndex(folder.path, tmp_path / "index")
    services.screening = Screening(services.catalogue, services.lists, services.clock, "first")
    object.__setattr__(services.render, "screening", services.screening)
    rendering = Renderer(Settings())
    monkeypatch.setattr(rendering, "_pipeline", pipeline)  # the session's sandbox: another takes seconds to start
    hasher = ImageHasher(
        services.catalogue, services.originals, services.renditions, unsealed, rendering.match_lumas, 20_000_000
    )
    services.rescreen = Rescreen(services.render.runner, services.screening, hasher)
    services.rename = RotateNames(
        services.render.runner, services.renditions, ObjectNames(bytes(32)), EdgePurge(None, token=None, timeout_s=1)
    )
    return services
