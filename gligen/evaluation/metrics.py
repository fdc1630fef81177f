"""From what was asked for and what was found to the figures that are reported.

Average precision is computed by pycocotools, the maintained form of COCO's own code (extra
`evaluation`). Boxes are xyxy in [0, 1].
"""

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gligen.evaluation.poses import SIGMAS
from gligen.layout import Box
from gligen.world import IMAGE_SIZE, ScenePerson
from gligen.world.people import figure_mask


@dataclass(frozen=True)
class Thing:
    """A thing in a picture: asked for, or found."""

    picture: int  # number of the picture
    name: str
    box: Box  # xyxy in [0, 1]
    score: float = 1.0  # of a found one
    person: ScenePerson | None = None  # its joints, where those are judged


@dataclass(frozen=True)
class Precision:
    """Average precision by COCO's definition, 0 to 1, mean over the names that were asked for."""

    ap: float  # mean over the thresholds 0.50, 0.55, ..., 0.95
    ap50: float  # at 0.5
    ap75: float  # at 0.75
    by_name: Mapping[str, float]  # at 0.5


def box_precision(asked: Sequence[Thing], found: Sequence[Thing]) -> Precision:
    """Judge found boxes by their overlap with those that were asked for.

    Every found thing counts, also of a name that its picture was not asked for, if another one was.

    Raises:
        ValueError: nothing was asked for.
    """
    return _precision(asked, found, "bbox")


def joint_precision(asked: Sequence[Thing], found: Sequence[Thing]) -> Precision:
    """Judge found persons by the similarity (OKS) of their joints with those asked for.

    Raises:
        ValueError: nobody was asked for.
    """
    return _precision(asked, found, "keypoints")


def _precision(asked: Sequence[Thing], found: Sequence[Thing], judged: str) -> Precision:
    if not asked:
        raise ValueError("There is nothing to judge: no thing was asked for.")
    names = sorted({thing.name for thing in asked})
    pictures = sorted({thing.picture for thing in (*asked, *found)})
    annotations, judge = _pycocotools()
    # The library reports its progress by printing.
    with contextlib.redirect_stdout(io.StringIO()):
        truth = annotations()
        truth.dataset = _dataset(asked, names, pictures)
        truth.createIndex()
        results = [_result(thing, names) for thing in found if thing.name in names]
        evaluation = judge(truth, _found(truth, results), judged)
        # Pictures are small: by COCO's ranges for photographs every object would be "small".
        evaluation.params.areaRng = [[0.0, 1e10]]
        evaluation.params.areaRngLbl = ["all"]
        evaluation.params.maxDets = [100]
        if judged == "keypoints":
            evaluation.params.kpt_oks_sigmas = SIGMAS
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][..., 0, 0]  # thresholds x recalls x names
    thresholds = list(np.round(evaluation.params.iouThrs, 2))
    at_half, at_three_quarters = (precision[thresholds.index(t)] for t in (0.5, 0.75))
    return Precision(
        float(precision.mean()),
        float(at_half.mean()),
        float(at_three_quarters.mean()),
        {name: float(at_half[:, index].mean()) for index, name in enumerate(names)},
    )


def _found(truth: Any, results: list[dict[str, Any]]) -> Any:
    """Return the results as COCO holds them; its own reader refuses an empty list."""
    if results:
        return truth.loadRes(results)
    nothing = type(truth)()
    nothing.dataset = {**truth.dataset, "annotations": []}
    nothing.createIndex()
    return nothing


def _dataset(
    asked: Sequence[Thing], names: Sequence[str], pictures: Sequence[int]
) -> dict[str, Any]:
    annotations = [
        # Numbers begin at 1: pycocotools takes 0 for "no match".
        {"id": number, "iscrowd": 0, "area": _area(thing), **_result(thing, names)}
        for number, thing in enumerate(asked, start=1)
    ]
    for annotation, thing in zip(annotations, asked, strict=True):
        if thing.person is not None:
            annotation["num_keypoints"] = len(thing.person.joints)
    return {
        "info": {},
        "images": [{"id": picture} for picture in pictures],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names, start=1)],
        "annotations": annotations,
    }


def _result(thing: Thing, names: Sequence[str]) -> dict[str, Any]:
    x0, y0, x1, y1 = (value * IMAGE_SIZE for value in thing.box)
    result: dict[str, Any] = {
        "image_id": thing.picture,
        "category_id": names.index(thing.name) + 1,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "score": thing.score,
    }
    if thing.person is not None:
        joints = np.array(thing.person.joints) * IMAGE_SIZE
        result["keypoints"] = np.column_stack([joints, np.full(len(joints), 2)]).ravel().tolist()
    return result


def _area(thing: Thing) -> float:
    """Return the area in pixels: of a person what it covers, as COCO's is of the outline."""
    if thing.person is not None:
        return float(figure_mask(thing.person, IMAGE_SIZE).sum())
    x0, y0, x1, y1 = (value * IMAGE_SIZE for value in thing.box)
    return (x1 - x0) * (y1 - y0)


def intersection_over_union(a: Box, b: Box) -> float:
    """Return the overlap of two boxes, 0 to 1."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def _pycocotools() -> tuple[Any, Any]:
    """Return the classes that hold annotations and that judge results."""
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        raise ValueError(
            "Average precision is computed by pycocotools, which is not installed; install it "
            "with: pip install gligen[evaluation]"
        ) from None
    return COCO, COCOeval
