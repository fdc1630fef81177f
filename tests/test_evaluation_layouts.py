"""The layouts that are held out for judging."""

import numpy as np

from gligen.evaluation.layouts import held_out_layouts, held_out_scenes, mirrored_item
from gligen.evaluation.series import draw_item
from gligen.training.bank import CHUNK, HELD_OUT_SEED, OPEN_SET_NAMES


def test_held_out_layouts_are_fixed_and_not_among_the_training_seeds():
    assert held_out_layouts(12)[:5] == held_out_layouts(5)
    assert HELD_OUT_SEED > 100 * 1_000_000 / CHUNK
    layouts = held_out_layouts(60)
    assert {len(item.layout) for item in layouts} == {1, 2, 3, 4}
    assert len({item.layout for item in layouts}) == 60
    assert len({item.seed for item in layouts}) == 60


def test_captions_and_phrases_name_the_objects_and_no_place():
    for item in held_out_layouts(60):
        assert len(item.names) == len(item.layout)
        for name, region, thing in zip(item.names, item.layout, item.scene.objects, strict=True):
            assert name in item.caption
            assert region.phrase in {f"a {name}", f"an {name}"}
            assert region.box == thing.box
        words = set(item.caption.replace(",", " ").split())
        assert not words & {"left", "right", "top", "bottom", "middle"}


def test_layouts_of_other_names_have_only_those():
    for names in (OPEN_SET_NAMES, ("cat", "whale")):
        asked = {name for item in held_out_layouts(30, names) for name in item.names}
        assert asked == set(names)


def test_scenes_with_persons_have_them():
    items = held_out_scenes(10, person_share=1.0)
    assert {len(item.scene.persons) for item in items} == {1, 2}
    assert not any(item.layout for item in items)


def test_mirrored_boxes_and_scenes_go_together():
    for item in held_out_layouts(10):
        turned = mirrored_item(item)
        assert turned.layout.boxes == turned.boxes
        assert turned.layout.phrases == item.layout.phrases
        for (x0, y0, x1, y1), (a, b, c, d) in zip(item.boxes, turned.boxes, strict=True):
            assert (a, b, c, d) == (1 - x1, 1 - y1, 1 - x0, 1 - y0)
        assert np.allclose(mirrored_item(turned).boxes, item.boxes)
        assert (draw_item(turned) != draw_item(item)).any()
