"""Hash lists in a folder, pictures that are on them, and what is done to services that match pictures against them."""

from nightlight.catalogue.schema import audit
from nightlight.imaging.match_squares import square_luma
from nightlight.matching.pdq import pdq
from tests.support import pictures

LISTED, OTHER, PLAIN = "astronaut.png", "coffee.png", "rocket.jpg"


def view(name):
    return square_luma(pictures.opened(pictures.photograph(name)).convert("RGB"), 512)


def hex_of(name):
    return bytes(pdq(view(name)).hashes[0]).hex()


def filler(count, seed=0):
    """Hashes of nothing in particular: (seed, number) told apart in every word."""
    return [f"{(seed * 1000 + number + 1) * 0x9E3779B97F4A7C15 % 2**64:016x}" * 4 for number in range(count)]


class Folder:
    def __init__(self, path):
        self.path = path
        path.mkdir(exist_ok=True)

    def write(self, name, hashes):
        (self.path / f"{name}.csv").write_text("hash\n" + "".join(f"{hash_text}\n" for hash_text in hashes))


def upload(services, profile_id, name):
    services.views = [view(name)]
    return services.upload(profile_id, pictures.photograph(name)).image_id


def deliver(services):
    """Do everything that is waiting, whatever it leads to; return the endings."""
    endings = []
    while True:
        services.relay.run_once()
        sent, services.sent[:] = list(services.sent), []
        if not sent:
            return endings
        run = {
            "nightlight.render": services.render.run, "nightlight.rescreen": services.rescreen.run,
            "nightlight.rotate_names": services.rename.run, "nightlight.erase": services.erase.run,
            "nightlight.verify_erasure": services.erase.verify, "nightlight.retention_tags": services.retention_tags.run,
        }  # fmt: skip
        endings += [run[task](job_id, redelivered=False) for task, job_id in sent]


def later(services):
    services.clock.forward(hours=1)
    services.reconciler.run_once()
    return deliver(services)


def events(services, name):
    with services.catalogue.reading() as tx:
        return [row.detail for row in tx.connection.execute(audit.select().where(audit.c.event == name))]
