import hashlib
from dataclasses import replace

import pytest
from PIL import Image

from nightlight.imaging.blurhash import COMPONENTS, blurhash
from nightlight.imaging.contact_sheet import contact_sheet, picture_size
from nightlight.imaging.crop import Region
from nightlight.imaging.encode import encode, unexpected_parts
from nightlight.imaging.face import Face, FaceDetector, FaceSearch, crop_face
from nightlight.imaging.invisible_watermark import InvisibleWatermarkWriter
from nightlight.imaging.pipeline import Pipeline
from nightlight.imaging.probe import UploadCaps
from nightlight.imaging.recipe import Recipe, build_recipes, with_visible_watermark
from nightlight.imaging.visible_watermark import VisibleWatermark
from nightlight_core.decisions.placeholder import PLACEHOLDER_BLURHASH, placeholder_bytes
from nightlight_core.errors import CorruptImage, ImageTooLarge, TruncatedImage
from nightlight_core.policy.tier import TierRecipe
from tests.support import pictures, silhouette
from tests.support.in_process import InProcessDecoder


@pytest.fixture(scope="module")
def in_process():
    """The pipeline without its sandbox: unit tests start no process; pixels are the same, as the sandbox's own tests show."""
    return Pipeline(
        UploadCaps(), InProcessDecoder(), FaceDetector(), VisibleWatermark(), InvisibleWatermarkWriter(bytes(range(32)))
    )


@pytest.fixture(scope="module")
def render(in_process):
    return lambda data, wanted, **asked: in_process.render(data, wanted, **asked).renditions


def described():
    exif = Image.Exif()
    exif[0x010E] = "secret"
    return exif


class Says:
    """A detector that has been told where the faces are."""

    def __init__(self, *faces, no_face=False):
        self.faces, self.no_face = faces, no_face

    def find(self, frame):
        return FaceSearch(faces=self.faces, no_face=self.no_face)

    def largest(self, frame):
        return crop_face(self.faces)


def test_one_rendition_for_each_recipe_within_its_edge(all_recipes, render):
    renditions = render(pictures.jpeg(3000, 2000), all_recipes)
    assert [(rendition.recipe.tier, rendition.width, rendition.height) for rendition in renditions] == [
        ("full", 1024, 1024),
        ("medium", 320, 320),
        ("low", 160, 160),
        ("tiny", 96, 96),
    ]
    for rendition in renditions:
        assert pictures.opened(rendition.data).size == (rendition.width, rendition.height)
        assert rendition.sha256 == hashlib.sha256(rendition.data).hexdigest()


def test_a_small_upload_is_never_enlarged(all_recipes, render):
    sizes = {rendition.recipe.tier: rendition.width for rendition in render(pictures.jpeg(90, 70), all_recipes)}
    assert sizes == {"full": 70, "medium": 70, "low": 70, "tiny": 70}


def test_the_same_bytes_give_the_same_renditions(all_recipes, render):
    data = pictures.photograph()
    first, second = (render(data, all_recipes) for _ in range(2))
    assert [rendition.data for rendition in first] == [rendition.data for rendition in second]


def test_a_rendition_looks_like_the_upload(all_recipes, render):
    data = pictures.photograph()
    full = render(data, all_recipes)[0]
    assert pictures.psnr(pictures.opened(full.data), pictures.opened(data)) > 32


def test_the_scaled_decode_agrees_with_the_plain_one(all_recipes, render):
    """A large JPEG through DCT scaling and the cascade, against Pillow's full decode and one resize."""
    image = pictures.opened(pictures.photograph()).convert("RGB").resize((3000, 3000), Image.Resampling.BICUBIC)
    data = pictures.encoded(image, "JPEG", quality=92)
    plain = [
        replace(recipe, visible_watermark="none", quality=95, face_px=None, max_bytes=None) for recipe in all_recipes
    ]
    for rendition in render(data, plain):
        small = (
            pictures.opened(data).convert("RGB").resize((rendition.width, rendition.height), Image.Resampling.LANCZOS)
        )
        # WebP halves the colour resolution, which at 32 pixels is most of the difference.
        assert pictures.psnr(pictures.opened(rendition.data), small) > 28


@pytest.mark.parametrize("format_", ["webp", "jpeg", "avif"])
def test_encoded_bytes_hold_the_picture_and_nothing_else(format_):
    image = pictures.gradient(64, 64)
    image.info.update(comment=b"secret", exif=b"Exif\0\0secret", icc_profile=b"secret", xmp=b"secret")
    clean = encode(pictures.gradient(64, 64), format=format_, quality=70, effort=4)
    assert unexpected_parts(clean) == []
    # A picture that still drags its metadata along is refused, or comes out without it.
    try:
        dirty = encode(image, format=format_, quality=70, effort=4)
    except CorruptImage:
        return
    assert b"secret" not in dirty


@pytest.mark.parametrize(
    ("format_", "options"),
    [
        ("WEBP", {"exif": b"Exif\0\0x"}),
        ("WEBP", {"xmp": b"<x/>"}),
        ("WEBP", {"icc_profile": b"x" * 200}),
        ("JPEG", {"comment": b"x"}),
        ("JPEG", {"exif": b"Exif\0\0x"}),
        ("JPEG", {"icc_profile": b"x" * 200}),
        ("JPEG", {"progressive": True}),
        ("AVIF", {"exif": described()}),
        ("AVIF", {"xmp": b"<x/>"}),
        ("AVIF", {"icc_profile": b"x" * 200}),
    ],
)
def test_anything_more_than_the_bare_picture_is_noticed(format_, options):
    assert unexpected_parts(pictures.encoded(pictures.gradient(32, 32), format_, **options))


def test_a_trailer_behind_a_jpeg_is_noticed():
    assert unexpected_parts(pictures.encoded(pictures.gradient(32, 32), "JPEG") + b"PK") == ["a trailer"]


def test_a_recipes_digest_follows_everything_in_it():
    recipe = Recipe(tier="low", edge=64)
    others = [
        replace(recipe, **change)
        for change in (
            {"edge": 65},
            {"quality": 81},
            {"format": "jpeg"},
            {"visible_watermark": "clear"},
            {"visible_pattern": "sparse"},
            {"face_px": 9},
            {"design": "x"},
        )
    ]
    assert len({recipe.digest, *(other.digest for other in others)}) == 8
    assert recipe.digest == Recipe(tier="low", edge=64).digest


def test_every_stage_is_timed(all_recipes, in_process):
    stages = in_process.render(pictures.jpeg(), all_recipes).stages
    assert set(stages) == {
        "probe",
        "decode",
        "shrink",
        "normalise",
        "face",
        "resize",
        "visible_watermark",
        "invisible_watermark",
        "encode",
    }


def test_caps_hold_in_the_pipeline_too(all_recipes, in_process):
    with pytest.raises(ImageTooLarge):
        replace(in_process, caps=UploadCaps(max_pixels=640 * 480 - 1)).render(pictures.jpeg(640, 480), all_recipes)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.88])
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "AVIF", "GIF"])
def test_a_truncated_file_is_refused(all_recipes, format_, share, render):
    data = pictures.encoded(pictures.gradient(300, 200), format_)
    refusal = TruncatedImage if format_ in {"JPEG", "PNG", "GIF"} else CorruptImage
    with pytest.raises(refusal):
        render(data[: int(len(data) * share)], all_recipes)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF"])
def test_a_file_of_which_nearly_all_rows_arrived_is_rendered(all_recipes, format_, render):
    data = pictures.encoded(pictures.gradient(300, 200), format_)
    assert len(render(data[: int(len(data) * 0.97)], all_recipes)) == len(all_recipes)


def test_the_placeholder_that_is_shipped_is_the_one_that_is_drawn():
    assert pictures.psnr(pictures.opened(placeholder_bytes()), silhouette.draw()) > 30
    assert unexpected_parts(placeholder_bytes()) == []


def test_a_contact_sheet_has_a_row_a_profile_and_a_column_a_viewer(all_recipes, render):
    small = render(pictures.jpeg(), all_recipes)[-1].data
    sheet = contact_sheet("t", ["self", "stranger"], [("a", "n", [(small, "x"), (small, "y")])])
    assert pictures.opened(sheet).size[0] > 2 * 220
    assert picture_size(small) == (96, 96)


PORTRAIT = Face(100, 60, 80, 104, 0.9)


def with_faces(in_process, *faces):
    return replace(in_process, face_finder=Says(*faces))


def test_a_face_budget_bounds_the_detail_across_the_widest_face(in_process):
    recipe = Recipe("tiny", 96, face_px=6)
    rendered = with_faces(in_process, PORTRAIT).render(
        pictures.jpeg(320, 320), [replace(recipe, tier="l", edge=320, face_px=None), recipe]
    )
    tiny = rendered.renditions[1]
    assert rendered.face_share == pytest.approx(88 / 320)
    assert tiny.grid == 21  # 6 / (88 / 320) is 21.8, and no more than that
    assert 5.5 < tiny.face_px <= 6
    assert rendered.renditions[0].face_px is None


def test_without_a_face_the_budget_is_for_the_whole_picture(in_process):
    rendered = with_faces(in_process).render(pictures.jpeg(320, 320), [Recipe("tiny", 96, face_px=6)])
    assert rendered.face_share == 1
    assert rendered.renditions[0].grid == 6


def test_where_the_detector_breaks_the_whole_picture_is_a_face(in_process):
    class Broken:
        def find(self, frame):
            raise RuntimeError("the network is gone")

    rendered = replace(in_process, face_finder=Broken()).render(
        pictures.jpeg(320, 320), [Recipe("tiny", 96, face_px=6, no_face_px=16)]
    )
    assert rendered.face_share == 1
    assert rendered.renditions[0].grid == 6
    assert not rendered.renditions[0].no_face


@pytest.mark.parametrize(("no_face", "grid"), [(True, 16), (False, 6)])
def test_a_picture_has_its_tiers_detail_without_a_face_only_where_the_search_saw_none(in_process, no_face, grid):
    pipeline = replace(in_process, face_finder=Says(no_face=no_face))
    (tiny,) = pipeline.render(pictures.jpeg(320, 320), [Recipe("tiny", 96, face_px=6, no_face_px=16)]).renditions
    assert (tiny.grid, tiny.no_face) == (grid, no_face)


def test_a_sharper_tier_behind_a_softer_one_is_not_made_from_it(in_process):
    """The cascade goes on from the sharp picture."""
    wanted = [Recipe("a", 160, face_px=4), Recipe("b", 96)]
    alone = with_faces(in_process, PORTRAIT).render(pictures.jpeg(160, 160), wanted[1:]).renditions[0]
    after = with_faces(in_process, PORTRAIT).render(pictures.jpeg(160, 160), wanted).renditions[1]
    assert pictures.psnr(pictures.opened(alone.data), pictures.opened(after.data)) > 30


def test_a_tier_may_be_cut_around_the_face_or_in_the_middle(in_process):
    wanted = [Recipe("f", 100, crop="face"), Recipe("m", 100, crop="centre")]
    right = Face(230, 40, 40, 52, 0.9)
    around, middle = with_faces(in_process, right).render(pictures.jpeg(300, 100), wanted).renditions
    assert pictures.psnr(pictures.opened(around.data), pictures.opened(middle.data)) < 25


def test_the_owners_crop_is_honoured(in_process):
    image = pictures.gradient(400, 300)
    data = pictures.encoded(image, "PNG")
    shown = in_process.render(data, [Recipe("x", 100, quality=95)], region=Region(200, 100, 100, 100)).renditions[0]
    assert pictures.psnr(pictures.opened(shown.data), image.crop((200, 100, 300, 200))) > 28


def test_a_byte_budget_is_met_by_lowering_the_quality():
    image = pictures.opened(pictures.photograph()).convert("RGB")
    free = encode(image, format="webp", quality=90, effort=2)
    held = encode(image, format="webp", quality=90, effort=2, max_bytes=len(free) // 2)
    assert len(free) // 4 < len(held) <= len(free) // 2
    impossible = encode(image, format="webp", quality=90, effort=2, max_bytes=500)
    assert len(impossible) == len(encode(image, format="webp", quality=20, effort=2))


def test_only_the_most_protective_tier_has_a_blurhash(all_recipes, render):
    hashes = {rendition.recipe.tier: rendition.blurhash for rendition in render(pictures.photograph(), all_recipes)}
    assert [tier for tier, blurhash in hashes.items() if blurhash] == ["tiny"]


@pytest.mark.parametrize("seed", range(4))
def test_a_blurhash_is_what_the_reference_makes_of_it(seed):
    import blurhash as reference
    import numpy as np

    image = pictures.gradient(32, 32, seed=seed)
    assert blurhash(image) == reference.encode(np.asarray(image), COMPONENTS, COMPONENTS)
    assert len(blurhash(image)) == 12


def test_the_placeholders_blurhash_is_its_own():
    assert blurhash(pictures.opened(placeholder_bytes()).convert("RGB")) == PLACEHOLDER_BLURHASH


def test_only_recipes_that_are_marked_follow_the_marks_design():
    plain_recipes = build_recipes({"a": TierRecipe(edge=64, visible_watermark="clear"), "b": TierRecipe(edge=32)})
    drawn = with_visible_watermark(plain_recipes, "d1")
    assert [recipe.digest == other.digest for recipe, other in zip(plain_recipes, drawn, strict=True)] == [False, True]
