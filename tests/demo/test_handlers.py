"""What the buttons do, on a service without a model."""

from io import BytesIO

import pytest
from PIL import Image

from demo.components.canvas import Drawing
from demo.describing import describe_request, describe_step, describe_tau
from demo.gallery import output_folder, write_gallery
from demo.handlers import (
    Asked,
    Finished,
    Options,
    Running,
    Stopped,
    arrange,
    build_request,
    choose_kind,
    enlarge,
    follow,
    request_for,
)
from demo.service import (
    FLAGS,
    GENERATION,
    IMAGE_GENERATION,
    IMAGE_INPAINTING,
    INPAINTING,
    ModelCard,
)
from gligen.layout import Layout, Region
from gligen.pictures.metadata import read_settings
from gligen.request import Request
from tests.demo.fake_service import FakeService

LAYOUT = Layout.from_lists(["sun", "comet"], [(0, 0, 0.5, 0.5), (0.5, 0.5, 1, 1)])
PICTURE = Image.new("RGB", (20, 10), "red")
WITH_PICTURE = Layout((*LAYOUT.regions[:1], Region("", (0.5, 0.5, 1, 1), PICTURE)))
ALL_BOX_KINDS = (GENERATION, INPAINTING, IMAGE_GENERATION, IMAGE_INPAINTING)


def card_of(*kinds: str) -> ModelCard:
    return ModelCard("fake", "", "cpu", dict.fromkeys(kinds, (64, 64)))


def inpaint_drawing(tmp_path, **more) -> Drawing:
    path = tmp_path / "photo.png"
    Image.new("RGB", (100, 70), "teal").save(path)
    return Drawing(layout=LAYOUT, photo=path, **more)


def test_settings_reach_the_request():
    options = Options(
        prompt="a night",
        negative_prompt="day",
        shares=(0.7, 0.2, 0.1),
        guidance_scale=5,
        num_inference_steps=7,
        sampler="euler",
        preset="faster",
        num_images=3,
        seed=11,
        append_grounding=True,
    )
    request = build_request(options, Drawing(LAYOUT), GENERATION)
    assert request.preset == "faster"
    assert request.full_prompt == "a night; sun; comet"
    assert request.gate_schedule == (0.7, 0.2, 0.1)
    assert (request.negative_prompt, request.guidance_scale, request.sampler) == ("day", 5, "euler")
    assert (request.num_inference_steps, request.num_images, request.seed) == (7, 3, 11)
    assert request.layout == LAYOUT


@pytest.mark.parametrize(
    ("loaded", "layout", "kind"),
    [
        (ALL_BOX_KINDS, LAYOUT, GENERATION),
        (ALL_BOX_KINDS, WITH_PICTURE, IMAGE_GENERATION),
        (ALL_BOX_KINDS, Layout(LAYOUT.regions, style=PICTURE), IMAGE_GENERATION),
        ((GENERATION,), LAYOUT, GENERATION),
        ((IMAGE_GENERATION,), LAYOUT, IMAGE_GENERATION),
        ((), LAYOUT, GENERATION),
    ],
)
def test_pictures_are_answered_by_the_kind_that_reads_them(loaded, layout, kind):
    assert choose_kind(card_of(*loaded), "generation", layout) == kind


def test_inpainting_with_pictures_has_its_own_kind():
    card = card_of(*ALL_BOX_KINDS)
    assert choose_kind(card, "inpainting", WITH_PICTURE) == IMAGE_INPAINTING
    assert choose_kind(card, "inpainting", LAYOUT) == INPAINTING
    with pytest.raises(ValueError, match=FLAGS[IMAGE_INPAINTING]):
        choose_kind(card_of(INPAINTING, IMAGE_GENERATION), "inpainting", WITH_PICTURE)


def test_tau_is_the_usual_one_of_the_kind_unless_it_is_said():
    card = card_of(*ALL_BOX_KINDS)
    asked = Asked(IMAGE_GENERATION, Options(), Drawing(WITH_PICTURE))
    assert request_for(card, asked).gate_schedule == 1.0
    asked = Asked(GENERATION, Options(), Drawing(LAYOUT))
    assert request_for(card, asked).gate_schedule == 0.3
    asked = Asked(GENERATION, Options(tau=0.5), Drawing(LAYOUT))
    assert request_for(card, asked).gate_schedule == 0.5
    with pytest.raises(ValueError, match=FLAGS[GENERATION]):
        request_for(card_of(), asked)


def test_pictures_that_act_for_few_steps_are_said():
    few = build_request(Options(tau=0.3), Drawing(WITH_PICTURE), IMAGE_GENERATION)
    (note,) = describe_tau(few, 1.0)
    assert "30% of the steps" in note
    assert "100% is usual" in note
    assert describe_tau(few, 0.3) == []
    words = build_request(Options(tau=0.3), Drawing(LAYOUT), IMAGE_GENERATION)
    assert describe_tau(words, 1.0) == []


def test_how_pictures_are_used_reaches_the_request():
    options = Options(style_box="space", crop_references=True)
    request = build_request(options, Drawing(WITH_PICTURE), IMAGE_GENERATION)
    assert (request.style_box, request.crop_references) == ("space", True)
    assert request.layout.regions[1].image is PICTURE


def test_an_empty_prompt_is_made_of_the_phrases():
    request = build_request(Options(), Drawing(LAYOUT), GENERATION)
    assert "sun" in request.full_prompt
    assert "comet" in request.full_prompt


@pytest.mark.parametrize(
    ("options", "drawing", "kind", "words"),
    [
        (Options(), Drawing(), GENERATION, "neither a prompt nor a box"),
        (Options(), Drawing(), "keypoint", "neither a prompt nor a person; press Add person"),
        (Options(num_images=5), Drawing(LAYOUT), GENERATION, "1 to 4"),
        (Options(num_inference_steps=0), Drawing(LAYOUT), GENERATION, "steps"),
        (Options(guidance_scale=0.5), Drawing(LAYOUT), GENERATION, "guidance"),
        (Options(tau=1.5), Drawing(LAYOUT), GENERATION, "1.5"),
        (Options(shares=(0.5, 0.5, 0.5)), Drawing(LAYOUT), GENERATION, "sums to 1.5"),
        (Options(sampler="magic"), Drawing(LAYOUT), GENERATION, "magic"),
        (Options(seed=-1), Drawing(LAYOUT), GENERATION, "seed"),
        (
            Options(),
            Drawing(
                Layout.from_lists([""], [(0, 0, 1, 1)]),
                hidden=(1,),
                hidden_regions=(Region("dog", (0, 0, 1, 1)),),
            ),
            GENERATION,
            "Box 2 has no name",
        ),
        (Options(), Drawing(LAYOUT), INPAINTING, "no photo"),
        (Options(), Drawing(WITH_PICTURE), GENERATION, "Region 2 has a reference picture"),
        (Options(style_box="here"), Drawing(WITH_PICTURE), IMAGE_GENERATION, "style box 'here'"),
    ],
)
def test_bad_settings_are_refused_with_a_sentence(options, drawing, kind, words):
    with pytest.raises(ValueError, match=words):
        build_request(options, drawing, kind)


def test_inpainting_without_hole_is_refused(tmp_path):
    drawing = Drawing(photo=inpaint_drawing(tmp_path).photo)
    with pytest.raises(ValueError, match="no hole"):
        build_request(Options(), drawing, INPAINTING)


def test_a_photo_of_fifty_megapixels_is_refused(tmp_path):
    path = tmp_path / "huge.png"
    Image.new("1", (10_000, 5_000)).save(path)
    with pytest.raises(ValueError, match="50 megapixels"):
        build_request(Options(), Drawing(LAYOUT, photo=path), INPAINTING)


def test_a_photo_is_turned_upright(tmp_path):
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    Image.new("RGB", (80, 40)).save(path, exif=exif)
    request = build_request(Options(), Drawing(LAYOUT, photo=path), INPAINTING)
    assert request.inpaint_image is not None
    assert request.inpaint_image.size == (40, 80)


@pytest.mark.parametrize(
    ("repaint", "is_painted", "expected"),
    [
        ("auto", False, False),
        ("auto", True, True),
        ("boxes", True, False),
        ("mask", True, True),
    ],
)
def test_what_is_repainted(tmp_path, repaint, is_painted, expected):
    mask = Image.new("L", (50, 35), 255) if is_painted else None
    drawing = inpaint_drawing(tmp_path, mask=mask)
    request = build_request(Options(repaint=repaint), drawing, INPAINTING)
    assert (request.inpaint_mask is not None) == expected
    if request.inpaint_mask is not None:
        assert request.inpaint_mask.size == (100, 70)
        assert request.inpaint_mask.getextrema() == (255, 255)


def test_a_mask_grows_to_the_photo_with_hard_edges(tmp_path):
    mask = Image.new("L", (33, 23))
    mask.paste(255, (11, 7, 20, 15))
    request = build_request(Options(), inpaint_drawing(tmp_path, mask=mask), INPAINTING)
    assert request.inpaint_mask is not None
    assert {level for _, level in request.inpaint_mask.getcolors()} == {0, 255}


def test_repainting_a_mask_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match="mask is empty"):
        build_request(Options(repaint="mask"), inpaint_drawing(tmp_path), INPAINTING)


def test_follow_reports_every_step_and_the_result():
    service = FakeService()
    request = Request(layout=LAYOUT, num_inference_steps=5)
    clock = iter(range(100)).__next__
    *steps, last = follow(service, GENERATION, request, lambda: False, clock)
    assert [event.step for event in steps] == [1, 2, 3, 4, 5]
    assert isinstance(last, Finished)
    # One second a step, so that after two steps three seconds are left.
    assert steps[1].seconds_left == 3
    assert all(event.preview is not None for event in steps[:-1])


def test_quick_steps_are_not_all_reported_but_all_can_be_stopped():
    service = FakeService()
    request = Request(layout=LAYOUT, num_inference_steps=50)
    clock = (i * 0.05 for i in range(100)).__next__
    *steps, last = follow(service, GENERATION, request, lambda: False, clock)
    assert isinstance(last, Finished)
    assert [event.step for event in steps][:3] == [1, 5, 9]
    *_, last = follow(service, GENERATION, request, lambda: service.steps_done == 3, lambda: 0.0)
    assert last == Stopped(3, 50)


def test_stop_ends_the_work_within_one_step():
    service = FakeService()
    request = Request(layout=LAYOUT, num_inference_steps=50)
    events = []
    clock = iter(range(100)).__next__
    for event in follow(service, GENERATION, request, lambda: len(events) >= 10, clock):
        events.append(event)
    assert events[-1] == Stopped(11, 50)
    assert service.steps_done == 11
    assert service.was_closed_early


def test_leaving_early_closes_the_stream_too():
    service = FakeService()
    events = follow(service, GENERATION, Request(layout=LAYOUT), lambda: False)
    next(events)
    events.close()
    assert service.was_closed_early


def test_progress_is_told_in_words():
    assert describe_step(Running(1, 50, 60.0)) == "Step 1 of 50"
    assert describe_step(Running(10, 50, 7.2)) == "Step 10 of 50, about 8 s left"
    assert describe_step(Running(10, 50, 125.0)) == "Step 10 of 50, about 2 min 5 s left"


def test_small_pictures_are_enlarged_and_large_ones_are_not():
    assert enlarge(Image.new("RGB", (64, 64))).size == (512, 512)
    assert enlarge(Image.new("RGB", (64, 32))).size == (512, 256)
    large = Image.new("RGB", (1000, 700))
    assert enlarge(large) is large
    assert arrange([Image.new("RGB", (64, 64))] * 3).width > 1024


def test_holes_without_name_and_phrases_without_box_are_said(tmp_path):
    layout = Layout.from_lists(["", "sun"], [(0, 0, 0.5, 0.5), (0.5, 0.5, 1, 1)])
    drawing = Drawing(layout, photo=inpaint_drawing(tmp_path).photo, pending=("cat",))
    request = build_request(Options(), drawing, INPAINTING)
    notes = " ".join(describe_request(request, drawing))
    assert "Box 1 has no name" in notes
    assert "cat" in notes
    assert "boxes were repainted" in notes


def test_pictures_are_written_with_their_settings(tmp_path):
    request = Request(layout=LAYOUT, num_inference_steps=2, num_images=2, seed=5)
    *_, last = follow(FakeService(), GENERATION, request, lambda: False)
    assert isinstance(last, Finished)
    gallery = write_gallery(last.result, tmp_path, ["A note."], (1, 3))
    assert [picture.caption for picture in gallery.pictures] == ["Seed 5", "Seed 6"]
    second = read_settings(gallery.pictures[1].file)
    assert second["seed"] == 6
    assert second["regions"][0]["phrase"] == "sun"
    with (
        Image.open(gallery.pictures[0].file) as file,
        Image.open(BytesIO(gallery.pictures[0].shown)) as shown,
    ):
        assert (file.size, shown.size) == ((64, 64), (512, 512))
    assert "64 x 64" in gallery.note
    assert any("Prompt used: sun" in fact for fact in gallery.facts)
    assert "A note." in gallery.facts
    assert gallery.numbers == (1, 3)


def test_pictures_are_kept_only_where_a_folder_is_named(tmp_path):
    with output_folder(None) as folder:
        (folder / "picture.png").touch()
    assert not folder.exists()
    with output_folder(tmp_path / "kept") as folder:
        (folder / "picture.png").touch()
    assert (tmp_path / "kept" / "picture.png").exists()
