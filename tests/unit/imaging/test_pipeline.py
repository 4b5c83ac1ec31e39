import hashlib
from dataclasses import replace

import pytest
from PIL import Image

from nightlight.delivery.placeholder import placeholder_bytes
from nightlight.errors import CorruptImage, ImageTooLarge, PolicyRefused
from nightlight.imaging import silhouette
from nightlight.imaging.contact_sheet import contact_sheet, size_of
from nightlight.imaging.encode import encode, unexpected_parts
from nightlight.imaging.mark import crescents
from nightlight.imaging.pipeline import Stages, render
from nightlight.imaging.recipe import Recipe, recipes
from tests.support import pictures

CAPS = {"max_pixels": 50_000_000, "max_side": 16_384}


def test_one_rendition_for_each_recipe_within_its_edge(all_recipes):
    made = render(pictures.jpeg(3000, 2000), all_recipes, **CAPS)
    assert [(rendition.recipe.tier, rendition.width, rendition.height) for rendition in made] == [
        ("full", 1024, 1024),
        ("medium", 320, 320),
        ("low", 128, 128),
        ("tiny", 32, 32),
    ]
    for rendition in made:
        assert pictures.opened(rendition.data).size == (rendition.width, rendition.height)
        assert rendition.sha256 == hashlib.sha256(rendition.data).hexdigest()


def test_a_small_upload_is_never_enlarged(all_recipes):
    sizes = {rendition.recipe.tier: rendition.width for rendition in render(pictures.jpeg(90, 70), all_recipes, **CAPS)}
    assert sizes == {"full": 70, "medium": 70, "low": 70, "tiny": 32}


def test_the_same_bytes_give_the_same_renditions(all_recipes):
    data = pictures.photograph()
    first, second = (render(data, all_recipes, **CAPS) for _ in range(2))
    assert [rendition.data for rendition in first] == [rendition.data for rendition in second]


def test_a_rendition_looks_like_the_upload(all_recipes):
    data = pictures.photograph()
    full = render(data, all_recipes, **CAPS)[0]
    assert pictures.psnr(pictures.opened(full.data), pictures.opened(data)) > 32


def test_the_scaled_decode_agrees_with_the_plain_one(all_recipes):
    """A large JPEG through DCT scaling and the cascade, against Pillow's full decode and one resize."""
    image = pictures.opened(pictures.photograph()).convert("RGB").resize((3000, 3000), Image.Resampling.BICUBIC)
    data = pictures.encoded(image, "JPEG", quality=92)
    for rendition in render(data, [replace(recipe, visible_mark="none", quality=95) for recipe in all_recipes], **CAPS):
        small = (
            pictures.opened(data).convert("RGB").resize((rendition.width, rendition.height), Image.Resampling.LANCZOS)
        )
        # WebP halves the colour resolution, which at 32 pixels is most of the difference.
        assert pictures.psnr(pictures.opened(rendition.data), small) > 28


@pytest.mark.parametrize("format_", ["webp", "jpeg"])
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
    ],
)
def test_anything_more_than_the_bare_picture_is_noticed(format_, options):
    assert unexpected_parts(pictures.encoded(pictures.gradient(32, 32), format_, **options))


def test_a_trailer_behind_a_jpeg_is_noticed():
    assert unexpected_parts(pictures.encoded(pictures.gradient(32, 32), "JPEG") + b"PK") == ["a trailer"]


def test_the_visible_mark_is_seen_on_light_and_dark_and_leaves_the_picture_readable():
    for shade in (0, 128, 255):
        plain = Image.new("RGB", (320, 320), (shade,) * 3)
        marked = crescents(plain)
        assert 15 < pictures.psnr(plain, marked) < 40
    picture = pictures.opened(pictures.photograph()).convert("RGB").resize((320, 320))
    assert pictures.psnr(picture, crescents(picture)) > 18


def test_the_visible_mark_is_the_same_for_every_picture_of_a_size():
    black, again = crescents(Image.new("RGB", (128, 128))), crescents(Image.new("RGB", (128, 128)))
    assert black.tobytes() == again.tobytes()


@pytest.mark.parametrize(
    "step", [{"face_px": 12}, {"hidden_mark": "required"}, {"hidden_mark": "best_effort"}, {"provenance": "sidecar"}]
)
def test_a_tier_that_asks_for_a_step_that_is_not_installed_is_refused(step):
    with pytest.raises(PolicyRefused, match=f"tier 'low' asks for {next(iter(step))}"):
        recipes({"low": {"edge": 64, **step}})


def test_a_recipes_digest_follows_everything_in_it():
    recipe = Recipe(tier="low", edge=64)
    others = [
        replace(recipe, **change)
        for change in ({"edge": 65}, {"quality": 81}, {"format": "jpeg"}, {"visible_mark": "crescents"})
    ]
    assert len({recipe.digest, *(other.digest for other in others)}) == 5
    assert recipe.digest == Recipe(tier="low", edge=64).digest


def test_every_stage_is_timed(all_recipes):
    stages = Stages()
    render(pictures.jpeg(), all_recipes, **CAPS, stages=stages)
    assert set(stages.ms) == {"probe", "decode", "shrink", "normalise", "resize", "mark", "encode"}


def test_caps_hold_in_the_pipeline_too(all_recipes):
    with pytest.raises(ImageTooLarge):
        render(pictures.jpeg(640, 480), all_recipes, max_pixels=640 * 480 - 1, max_side=16_384)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "AVIF", "GIF"])
def test_a_truncated_file_is_corrupt(all_recipes, format_, share):
    data = pictures.encoded(pictures.gradient(300, 200), format_)
    with pytest.raises(CorruptImage):
        render(data[: int(len(data) * share)], all_recipes, **CAPS)


def test_the_placeholder_that_is_shipped_is_the_one_that_is_drawn():
    assert pictures.psnr(pictures.opened(placeholder_bytes()), silhouette.draw()) > 30
    assert unexpected_parts(placeholder_bytes()) == []


def test_a_contact_sheet_has_a_row_a_profile_and_a_column_a_viewer(all_recipes):
    small = render(pictures.jpeg(), all_recipes, **CAPS)[-1].data
    sheet = contact_sheet("t", ["self", "stranger"], [("a", "n", [(small, "x"), (small, "y")])])
    assert pictures.opened(sheet).size[0] > 2 * 220
    assert size_of(small) == (32, 32)
