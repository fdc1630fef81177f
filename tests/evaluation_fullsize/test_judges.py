import sys

import numpy as np
import pytest
import torch
from PIL import Image

from gligen.evaluation.fullsize.detectors import (
    ClosedSet,
    OpenVocabulary,
    corners_in_pixels,
    join_labels,
    load_detector,
    token_spans,
)
from gligen.evaluation.fullsize.judging import detect, load_clip
from gligen.evaluation.fullsize.layouts import Asked, Category, Selection, Series
from gligen.evaluation.fullsize.options import Judging
from gligen.evaluation.fullsize.scores import (
    FrechetDistance,
    average_precisions,
    check_libraries,
    ground_truth,
)
from gligen.layout import Layout
from tests.evaluation_fullsize.models import save_clip, save_closed_set, save_dino, save_owl

PERSON, HYDRANT = Category(1, "person", "f"), Category(18, "fire hydrant", "r")
KITE = Category(44, "kite", "c")
PICTURES = [Image.new("RGB", (48, 32), colour) for colour in ("red", "blue")]


def asked(identity, categories=(PERSON, HYDRANT)):
    boxes = [(0.0, 0.0, 0.5, 0.5), (0.5, 0.5, 1.0, 1.0)][: len(categories)]
    layout = Layout.from_lists([category.name for category in categories], boxes)
    return Asked(identity, "a walk", tuple(c.id for c in categories), layout, f"{identity}.jpg")


ITEMS = (asked(11), asked(12))
SELECTION = Selection((PERSON, HYDRANT, KITE), (Series("on", "grounding on", ITEMS),))


def exact(item, series=SELECTION.series[0]):
    """Return the detections of somebody who finds exactly what was asked for."""
    truth = ground_truth(Series("on", "", (item,)), SELECTION, (64, 64))
    keys = ("image_id", "category_id", "bbox")
    return [{key: a[key] for key in keys} | {"score": 0.9} for a in truth["annotations"]]


def test_closed_sets_find_things_by_the_names_of_their_labels(tmp_path):
    folder = save_closed_set(tmp_path / "yolos", ("Person", "dog", "fire_hydrant"))
    detector = load_detector(Judging(detector=str(folder), threshold=0.0), (PERSON, HYDRANT), "cpu")
    assert isinstance(detector, ClosedSet)
    found = detector(PICTURES, [(PERSON,), (PERSON,)])
    assert len(found) == 2
    # Twelve tokens look, each for one label; what they take for dogs is nobody's category.
    assert all(0 < len(one) <= 12 for one in found)
    assert {d.category for one in found for d in one} <= {1, 18}
    scores = [detection.score for detection in found[0]]
    assert scores == sorted(scores, reverse=True)


def test_a_category_without_a_label_is_named(tmp_path):
    folder = save_closed_set(tmp_path / "yolos", ("person", "dog"))
    with pytest.raises(ValueError, match=r"2 of the 3 categories asked for: fire hydrant, kite\."):
        load_detector(Judging(detector=str(folder)), SELECTION.categories, "cpu")


def test_names_of_pascal_voc_are_known():
    couch = Category(63, "couch")
    assert join_labels({57: "sofa", 3: "person"}, (couch, PERSON)) == {57: 63, 3: 1}


@pytest.mark.parametrize("save", [save_owl, save_dino])
def test_open_vocabularies_are_asked_for_names(tmp_path, save):
    folder = save(tmp_path / "open")
    judging = Judging(detector=str(folder), threshold=0.0, queries_at_once=2)
    detector = load_detector(judging, SELECTION.categories, "cpu")
    assert isinstance(detector, OpenVocabulary)
    found = detector(PICTURES, [(HYDRANT,), (PERSON, HYDRANT, KITE)])
    assert {detection.category for detection in found[0]} == {18}
    assert {detection.category for detection in found[1]} >= {44}  # of the second question
    # One question at a time gives the same answers of OWL, whose names do not see each other.
    if save is save_owl:
        alone = load_detector(
            Judging(detector=str(folder), threshold=0.0, queries_at_once=1), (KITE,), "cpu"
        )
        (kites,) = alone(PICTURES[1:], [(KITE,)])
        best = max(d.score for d in found[1] if d.category == 44)
        assert kites[0].score == pytest.approx(best, abs=1e-5)


def test_tokens_of_names_are_those_between_full_stops(tmp_path):
    save_dino(tmp_path / "dino")
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "dino")
    tokens = tokenizer("fire hydrant. kite.").input_ids
    assert token_spans(tokenizer, tokens) == [[1, 2, 3], [5]]


def test_centres_and_sizes_become_corners_in_pixels():
    boxes = torch.tensor([[0.5, 0.25, 0.5, 0.5]])
    assert corners_in_pixels(boxes, (80, 40)).tolist() == [[20.0, 0.0, 60.0, 20.0]]


def test_what_is_no_detector_is_refused(tmp_path):
    folder = save_clip(tmp_path / "clip")
    with pytest.raises(ValueError, match=r"CLIPConfig\) is no detector"):
        load_detector(Judging(detector=str(folder)), (PERSON,), "cpu")
    with pytest.raises(ValueError, match="cannot be had"):
        load_detector(Judging(detector=str(tmp_path / "nothing")), (PERSON,), "cpu")
    closed = save_closed_set(tmp_path / "yolos", ("person",))
    with pytest.raises(ValueError, match=r"YolosConfig\) is no CLIP model"):
        load_clip(str(closed), "cpu")


def test_clip_scores_are_a_hundred_times_the_cosine(tmp_path):
    folder = save_clip(tmp_path / "clip")
    captions = ["a dog", "a very long caption of more than sixteen tokens in a row"]
    scores = load_clip(str(folder), "cpu")(PICTURES, captions)
    from transformers import AutoProcessor, CLIPModel

    model, processor = CLIPModel.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
    inputs = processor(text=captions[:1], images=PICTURES[:1], return_tensors="pt")
    logit = model(**inputs).logits_per_image / model.logit_scale.exp()
    assert scores[0] == pytest.approx(max(0.0, 100 * logit.item()), abs=1e-3)
    assert len(scores) == 2


def test_in_repainted_pictures_only_the_hole_is_judged():
    from gligen.evaluation.fullsize.detectors import Detection

    found = [
        Detection(1, (2.0, 2.0, 20.0, 14.0), 0.9),
        Detection(1, (30.0, 20.0, 48.0, 32.0), 0.8),  # elsewhere
        Detection(18, (2.0, 2.0, 20.0, 14.0), 0.7),  # something else
    ]
    item = asked(11, (PERSON,))

    def kept(is_inpainting):
        results = detect(
            lambda pictures, queries: [found],
            PICTURES[:1],
            [item],
            SELECTION,
            Judging(),
            is_inpainting,
        )
        return [entry["score"] for entry in results[0]]

    assert kept(True) == [0.9]
    assert kept(False) == [0.9, 0.8, 0.7]


def test_average_precision_is_that_of_coco():
    items = tuple(asked(number) for number in range(11, 17))
    truth = ground_truth(Series("on", "", items), SELECTION, (64, 64))
    everything = [entry for item in items for entry in exact(item)]
    perfect = average_precisions(truth, everything, SELECTION.categories)
    assert perfect == pytest.approx({"AP": 1, "AP50": 1, "AP75": 1, "AP_rare": 1, "AP_frequent": 1})
    # Half of the persons, all hydrants: precision 1 up to recall 0.5, 51 of COCO's 101 points.
    some = [e for e in everything if e["category_id"] == 18 or e["image_id"] < 14]
    figures = average_precisions(truth, some, SELECTION.categories)
    assert figures["AP_frequent"] == pytest.approx(51 / 101)
    assert figures["AP_rare"] == pytest.approx(1)
    assert figures["AP"] == pytest.approx((1 + 51 / 101) / 2)
    assert average_precisions(truth, [], SELECTION.categories)["AP"] == 0


def test_missing_libraries_are_named_with_their_extras(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    with pytest.raises(ValueError, match=r"pycocotools.*gligen\[evaluation\]"):
        average_precisions({}, [], ())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"For FID, torchmetrics and torch-fidelity .*gligen\[fid"):
        check_libraries(needs_ap=False, needs_fid=True)
    check_libraries(needs_ap=False, needs_fid=False)


class MeanColour(torch.nn.Module):
    num_features = 3

    def forward(self, pictures):
        return pictures.float().mean((2, 3))


def test_the_frechet_distance_of_shifted_pictures_is_the_squared_shift(tmp_path):
    colours = np.array([(10, 20, 30), (50, 60, 70), (90, 20, 10), (7, 200, 3)])
    for name, shift in (("real", 0), ("painted", 5)):
        (tmp_path / name).mkdir()
        for number, colour in enumerate((colours + shift).tolist()):
            picture = Image.new("RGB", (80, 40), tuple(colour))
            picture.save(tmp_path / name / f"{number}.png")
    arguments = (tmp_path / "real", "crop", (64, 64), "cpu", 3, MeanColour())
    distance = FrechetDistance(*arguments)
    assert distance.num_real == 4
    painted = sorted((tmp_path / "painted").iterdir())
    assert distance.of(painted) == pytest.approx(3 * 25, rel=1e-3)
    # Real ones stay, painted ones are forgotten.
    assert distance.of(sorted((tmp_path / "real").iterdir())) == pytest.approx(0, abs=0.05)
    with pytest.raises(ValueError, match="two pictures or more"):
        distance.of(painted[:1])
    with pytest.raises(ValueError, match="no folder"):
        FrechetDistance(tmp_path / "none", *arguments[1:])
