"""A Nightlight for a platform's own tests: in memory, with the real decision engine and the default policies.

::

    def test_a_stranger_sees_next_to_nothing(fake_nightlight):  # a pytest fixture, there once this is installed
        client = fake_nightlight.client(viewer_id="u-7")
        client.declare("u-81", band="age_13_15", assurance="verified", region="eu")
        client.upload("u-81", Path("picture.jpg").read_bytes())
        (decision,) = client.decide("peer", "list", [("u-81", "stranger")])
        assert fake_nightlight.shown(decision).tier == "tiny"

Clients build and read the same requests as over HTTP. Decisions, explanations, relation proofs, blocks, quotas, URLs
and the local evaluation feed are real. Pictures are flat squares: nothing is decoded, scrubbed or watermarked. Exports,
traces, takedown notices and policies' activation are not in it: they are answered 501.
"""

from nightlight_client.testing.fake_service import FakeNightlight, ShownPicture

__all__ = ["FakeNightlight", "ShownPicture"]
