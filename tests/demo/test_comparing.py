"""Comparing grounding on and off and values of tau, on a service without a model."""

import io
from dataclasses import replace

import pytest
from PIL import Image

from demo.comparing import (
    Comparing,
    ComparisonStopped,
    VariantMade,
    comparable,
    compare,
    on_and_off,
    read_taus,
    read_variants,
    sweep,
)
from demo.comparison_view import ComparisonFiles, describe_sketch, sketch_of
from demo.service import GENERATION
from gligen.layout import Layout
from gligen.pictures.metadata import read_settings
from gligen.request import Request
from tests.demo.fake_service import FakeService

LAYOUT = Layout.from_lists(["sun", "comet"], [(0, 0, 0.5, 0.5), (0.5, 0.5, 1, 1)])
REQUEST = Request("a night", LAYOUT, num_inference_steps=5, gate_schedule=0.4, seed=7)


def never() -> bool:
    return False


def test_all_variants_share_noise_and_settings_but_not_the_schedule():
    service = FakeService()
    request = comparable(replace(REQUEST, seed=None))
    events = list(compare(service, GENERATION, request, sweep((0.0, 0.2, 1.0)), never))
    made = [event for event in events if isinstance(event, VariantMade)]
    assert [event.index for event in made] == [0, 1, 2]
    asked = [request for _, request in service.requests]
    assert [request.gate_schedule for request in asked] == [0.0, 0.2, 1.0]
    assert asked[0].seed is not None
    assert len({request.seed for request in asked}) == 1
    assert all(replace(r, gate_schedule=0.4) == replace(request, gate_schedule=0.4) for r in asked)


def test_seeds_are_random_unless_one_is_fixed():
    assert comparable(REQUEST) is REQUEST
    seeds = {comparable(replace(REQUEST, seed=None)).seed for _ in range(8)}
    assert len(seeds) > 1


def test_progress_runs_through_all_variants():
    clock = iter(range(1000)).__next__
    events = list(compare(FakeService(), GENERATION, REQUEST, sweep((0, 1)), never, clock))
    steps = [event for event in events if isinstance(event, Comparing)]
    assert [(event.index, event.step) for event in steps] == [
        (index, step) for index in (0, 1) for step in (1, 2, 3, 4, 5)
    ]
    assert [event.share for event in steps] == pytest.approx([i / 10 for i in range(1, 11)])
    assert steps[-1].seconds_left == pytest.approx(0)
    assert steps[4].seconds_left > steps[5].seconds_left > 0
    assert all(event.preview is not None for event in steps if event.step in (2, 3, 4))


def test_stop_ends_everything_and_keeps_what_is_finished():
    service = FakeService()
    variants = sweep((0, 0.5, 1))

    def in_the_second() -> bool:
        return len(service.requests) == 2 and service.steps_done == 3

    events = list(compare(service, GENERATION, REQUEST, variants, in_the_second))
    assert [event.index for event in events if isinstance(event, VariantMade)] == [0]
    assert events[-1] == ComparisonStopped(1, 3, 3, 5)
    assert len(service.requests) == 2
    assert service.was_closed_early


def test_leaving_early_closes_the_run():
    service = FakeService()
    events = compare(service, GENERATION, REQUEST, sweep((0, 1)), never)
    next(events)
    events.close()
    assert service.was_closed_early
    assert len(service.requests) == 1


def test_on_is_what_the_tab_generate_says():
    on, off = on_and_off(REQUEST)
    assert (on.schedule, off.schedule) == (0.4, 0.0)
    assert "0.4" in on.caption
    shares = (0.3, 0.2, 0.5)
    assert on_and_off(replace(REQUEST, gate_schedule=shares))[0].schedule == shares
    for schedule in (0.0, 0.1, (0.0, 0.0, 1.0)):
        # A tenth of five steps is none.
        with pytest.raises(ValueError, match="grounding is off in all steps"):
            on_and_off(replace(REQUEST, gate_schedule=schedule))


def test_a_sweep_is_read_sorted():
    assert read_taus(" 1, 0; 0.25,") == (0.0, 0.25, 1.0)
    captions = [variant.caption for variant in read_variants("sweep", "0, .5, 1.0", REQUEST)]
    assert captions == ["tau 0", "tau 0.5", "tau 1"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "0 values of tau"),
        (None, "0 values of tau"),
        ("0.5", "1 values of tau"),
        ("0,1,2", "outside 0 to 1"),
        ("0,-0.1", "outside 0 to 1"),
        ("0,nan", "outside 0 to 1"),
        ("0,inf", "outside 0 to 1"),
        ("0,many", "'many' is no number"),
        ("0,${1}", "is no number"),
        ("0,1,0.0", "twice"),
        ("0,.1,.2,.3,.4,.5,.6,.7,.8", "9 values of tau"),
    ],
)
def test_bad_values_of_tau_are_refused(text, words):
    with pytest.raises(ValueError, match=words):
        read_taus(text)


def test_there_must_be_something_to_switch_off():
    for layout in (Layout(), Layout.from_lists([""], [(0, 0, 1, 1)])):
        with pytest.raises(ValueError, match="nothing to compare"):
            comparable(replace(REQUEST, layout=layout))
    with pytest.raises(ValueError, match="no comparison 'magic'"):
        read_variants("magic", "", REQUEST)


def test_places_are_kept_free_and_filled(tmp_path):
    request = replace(REQUEST, num_images=2)
    variants = sweep((0, 0.5, 1))
    files = ComparisonFiles(request, variants, (64, 64), (1, 2), tmp_path, "Look.")
    gallery = files.gallery()
    assert gallery.columns == 3
    # Row by row: seed 7 with every tau, then seed 8.
    assert [picture.caption for picture in gallery.pictures] == [
        f"tau {tau}, seed {seed}" for seed in (7, 8) for tau in ("0", "0.5", "1")
    ]
    assert all(picture.file is None for picture in gallery.pictures)
    assert gallery.sheet is None
    for event in compare(FakeService(), GENERATION, request, variants, never):
        if isinstance(event, VariantMade):
            files.add(event.index, event.result)
            made = [picture.file is not None for picture in files.gallery().pictures]
            assert made == [column <= event.index for _ in (7, 8) for column in range(3)]
            assert files.is_complete == (event.index == 2)
    gallery = files.gallery()
    assert gallery.lead == "Look."
    assert "seeds 7, 8" in gallery.facts[0]
    last = read_settings(gallery.pictures[5].file)
    assert (last["seed"], last["gate_schedule"]) == (8, 1)
    assert len({picture.file for picture in gallery.pictures}) == 6
    assert sorted(tmp_path.iterdir()) == sorted(picture.file for picture in gallery.pictures)


def test_all_pictures_come_as_one_with_their_settings(tmp_path):
    variants = sweep((0, 1))
    files = ComparisonFiles(REQUEST, variants, (64, 64), (1, 2), tmp_path, "")
    for event in compare(FakeService(), GENERATION, REQUEST, variants, never):
        if isinstance(event, VariantMade):
            files.add(event.index, event.result)
    sheet = files.gallery().sheet
    assert sheet.name.endswith("-comparison.png")
    with (
        Image.open(io.BytesIO(sheet.plain)) as plain,
        Image.open(io.BytesIO(sheet.with_boxes)) as drawn,
    ):
        assert plain.size == drawn.size
        assert plain.width > 2 * 256
        assert plain.height > 256
        assert plain.tobytes() != drawn.tobytes()
    settings = read_settings(io.BytesIO(sheet.plain))
    assert settings["compared_gate_schedules"] == [0, 1]
    assert settings["seeds"] == [7]
    assert "gate_schedule" not in settings


def test_a_sketch_shows_what_is_laid_out():
    sketch = sketch_of(REQUEST, (64, 64), (1, 3))
    assert sketch.layout == LAYOUT
    assert sketch.pictures[0].file is None
    words = describe_sketch(REQUEST)
    assert "2 boxes named: sun; comet" in words
    assert "a night" in words
