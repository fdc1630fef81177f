"""From what was seen to figures, by the libraries of the field: pycocotools and torchmetrics."""

import contextlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from gligen.evaluation.fullsize.layouts import Category, Selection, Series, area_of
from gligen.evaluation.fullsize.painting import framed
from gligen.pictures.images import open_picture

EXTRA = 'pip install "gligen[evaluation]"'
INCEPTION_FEATURES = 2048  # of the pooling layer that FID is defined on
FREQUENCIES = {"r": "AP_rare", "c": "AP_common", "f": "AP_frequent"}
PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp")


def ground_truth(series: Series, selection: Selection, size: tuple[int, int]) -> dict[str, Any]:
    """Return the boxes that were asked for as a COCO document, in pixels of the painted pictures.

    Args:
        series: what was asked for.
        selection: has the categories.
        size: width and height of every picture of the series.
    """
    width, height = size
    annotations = []
    for item in series.items:
        for category, (x0, y0, x1, y1) in zip(item.categories, item.layout.boxes, strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,  # pycocotools takes 0 for "no match"
                    "image_id": item.id,
                    "category_id": category,
                    "bbox": [x0 * width, y0 * height, (x1 - x0) * width, (y1 - y0) * height],
                    "area": area_of((x0, y0, x1, y1)) * width * height,
                    "iscrowd": 0,
                }
            )
    return {
        "images": [{"id": item.id, "width": width, "height": height} for item in series.items],
        "annotations": annotations,
        "categories": [{"id": c.id, "name": c.name} for c in selection.categories],
    }


def average_precisions(
    truth: dict[str, Any], results: list[dict[str, Any]], categories: Sequence[Category]
) -> dict[str, float]:
    """Return AP, AP50 and AP75 by COCO's definition, in [0, 1]; of LVIS also by frequency.

    Args:
        truth: as `ground_truth` returns it.
        results: detections in COCO's form.
        categories: say how frequent they are, of LVIS.

    Raises:
        ValueError: pycocotools is not installed.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        raise ValueError(f"AP needs pycocotools, which is not installed: {EXTRA}.") from None
    names = ("AP", "AP50", "AP75")
    frequencies = {category.id: category.frequency for category in categories}
    present = {frequencies[a["category_id"]] for a in truth["annotations"]} - {None}
    rated = [frequency for frequency in FREQUENCIES if frequency in present]
    if not results:  # which pycocotools cannot read
        return dict.fromkeys((*names, *(FREQUENCIES[f] for f in rated)), 0.0)
    with contextlib.redirect_stdout(io.StringIO()):
        asked: Any = COCO()  # whose published types know files alone
        asked.dataset = truth
        asked.createIndex()
        evaluation = COCOeval(asked, asked.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    figures = {name: float(value) for name, value in zip(names, evaluation.stats, strict=False)}
    # Axes: IoU, recall, category, area (0: all), number of detections (last: 100); -1: no objects.
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    for frequency in rated:
        own = [frequencies[number] == frequency for number in evaluation.params.catIds]
        values = precision[:, :, own]
        figures[FREQUENCIES[frequency]] = float(values[values > -1].mean())
    return figures


class FrechetDistance:
    """FID against a folder of real pictures, whose features are computed once.

    Args:
        real: the folder; all pictures in it count.
        frame: how real pictures become squares.
        size: width and height of the painted pictures; the real ones are brought to it too.
        device: where the features are computed.
        batch_size: pictures at once.
        features: what describes a picture: the Inception network's layer of that width, or a module
            that turns uint8 [B, 3, height, width] into [B, features].

    Raises:
        ValueError: a library is not installed, or there are fewer than two pictures.
    """

    def __init__(
        self,
        real: Path,
        frame: str,
        size: tuple[int, int],
        device: str,
        batch_size: int,
        features: int | torch.nn.Module = INCEPTION_FEATURES,
    ):
        self._batch_size, self._device = batch_size, device
        paths = real_pictures(real)
        self.num_real = len(paths)
        self._metric = _metric(features).to(device)
        real_ones = (framed(open_picture(path), frame, size) for path in paths)
        self._add(real_ones, len(paths), "real pictures for FID", is_real=True)

    def of(self, paths: Sequence[Path]) -> float:
        """Return the distance of painted pictures.

        Raises:
            ValueError: there are fewer than two.
        """
        if len(paths) < 2:
            raise ValueError(f"FID needs two pictures or more; there are {len(paths)}.")
        self._metric.reset()  # of the painted ones
        self._add((open_picture(path) for path in paths), len(paths), "FID", is_real=False)
        return float(self._metric.compute())

    @torch.no_grad()
    def _add(
        self, pictures: Iterable[Image.Image], total: int, title: str, *, is_real: bool
    ) -> None:
        waiting = []
        for number, picture in enumerate(tqdm(pictures, title, total), start=1):
            waiting.append(torch.from_numpy(np.array(picture)).permute(2, 0, 1))
            if len(waiting) == self._batch_size or number == total:
                self._metric.update(torch.stack(waiting).to(self._device), real=is_real)
                waiting = []


def real_pictures(folder: Path) -> list[Path]:
    """Return the pictures in a folder, sorted by name.

    Raises:
        ValueError: there is no such folder, or fewer than two pictures in it.
    """
    if not folder.is_dir():
        raise ValueError(f"There is no folder {str(folder)!r} of real pictures; check --real.")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURE_ENDINGS)
    if len(paths) < 2:
        raise ValueError(
            f"The folder {str(folder)!r} holds {len(paths)} pictures; FID needs two or more, and "
            "is trusted from ten thousand on."
        )
    return paths


def check_libraries(*, needs_ap: bool, needs_fid: bool) -> None:
    """Refuse a run whose last step would fail for want of a library.

    Raises:
        ValueError: pycocotools, torchmetrics or torch-fidelity is not installed.
    """
    from importlib.util import find_spec

    needed = ["pycocotools"] * needs_ap + ["torchmetrics", "torch_fidelity"] * needs_fid
    missing = [name.replace("_", "-") for name in needed if find_spec(name) is None]
    if missing:
        what = " and ".join(["AP"] * needs_ap + ["FID"] * needs_fid)
        raise ValueError(
            f"For {what}, {' and '.join(missing)} must be installed: {EXTRA}, for FID also "
            'pip install "gligen[fid]"; or leave --detector or --real out.'
        )


def _metric(features: int | torch.nn.Module) -> Any:
    try:
        from torchmetrics.image.fid import FrechetInceptionDistance

        return FrechetInceptionDistance(features, reset_real_features=False)
    except ImportError:
        raise ValueError(
            "FID needs torchmetrics and torch-fidelity, which are not installed: "
            'pip install "gligen[fid]", or leave --real out.'
        ) from None
