"""One stage after the other: choose layouts, paint, look, score, report.

In the output folder:
    settings.json                what was asked for; another run of the folder must ask the same
    pictures/SERIES/ID.png       as painted
    detections/KEY/SERIES/ID.json    one file for each picture; KEY stands for the detector
    clip/KEY/SERIES/ID.json
    SERIES-asked.json, SERIES-detections.json    in COCO's forms, for other tools
    report.json, report.md
"""

import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image

from gligen.evaluation.fullsize.detectors import OpenVocabulary, load_detector
from gligen.evaluation.fullsize.judging import detect, load_clip
from gligen.evaluation.fullsize.layouts import Asked, Selection, Series, choose_layouts
from gligen.evaluation.fullsize.options import Choice, Judging, Painting
from gligen.evaluation.fullsize.painting import RealPictures, paint
from gligen.evaluation.fullsize.processes import (
    Processes,
    fill,
    read_json,
    write_json,
    write_text,
)
from gligen.evaluation.fullsize.report import format_report, published_figures
from gligen.evaluation.fullsize.scores import (
    FrechetDistance,
    average_precisions,
    check_libraries,
    ground_truth,
    real_pictures,
)
from gligen.pictures.images import open_picture
from gligen.pictures.metadata import save_png


@dataclass(frozen=True)
class Evaluation:
    """What is measured, and where it is kept."""

    choice: Choice
    painting: Painting
    judging: Judging
    out: Path
    processes: Processes

    @cached_property
    def selection(self) -> Selection:
        """The layouts."""
        return choose_layouts(self.choice, self.painting)

    @cached_property
    def pipeline(self) -> Any:
        """The model, loaded when the first picture is to be painted."""
        from gligen.loading import load_pipeline

        painting = self.painting
        pipeline = load_pipeline(
            painting.model, painting.kind, painting.base, self.processes.device, painting.dtype
        )
        pipeline.set_progress_bar_config(disable=True)
        _check_weights(self.out / "weights.txt", pipeline)
        return pipeline

    @cached_property
    def detector(self) -> Any:
        """The detector, likewise."""
        return load_detector(self.judging, self.selection.named, self.processes.device)

    @cached_property
    def clip(self) -> Any:
        """The CLIP score, likewise."""
        assert self.judging.clip is not None, "only runs with a CLIP score load it"
        return load_clip(self.judging.clip, self.processes.device)

    def picture_path(self, series: Series, item: Asked) -> Path:
        """Return where a picture is kept."""
        return self.out / "pictures" / series.name / f"{item.id:012}.png"

    def detections_path(self, series: Series, item: Asked) -> Path:
        """Return where the detections in a picture are kept."""
        judging = self.judging
        key = _key(judging.detector, judging.queries, judging.queries_at_once, judging.threshold)
        return self.out / "detections" / key / series.name / f"{item.id:012}.json"

    def clip_path(self, series: Series, item: Asked) -> Path:
        """Return where the CLIP score of a picture is kept."""
        return self.out / "clip" / _key(self.judging.clip) / series.name / f"{item.id:012}.json"


def evaluate(evaluation: Evaluation) -> dict[str, Any] | None:
    """Do what has not been done, and return the report; None in all but the main process.

    Raises:
        ValueError: something cannot be used; one sentence says why.
    """
    judging, processes = evaluation.judging, evaluation.processes
    check_libraries(needs_ap=judging.detector is not None, needs_fid=judging.real is not None)
    if judging.real is not None:
        real_pictures(judging.real)
    real = RealPictures(evaluation.choice, evaluation.painting, evaluation.selection)
    if judging.detector is not None:
        _ = evaluation.detector  # what is wrong with it is better known before hours of painting
    if processes.is_main:
        _keep_settings(evaluation)
    processes.wait()
    for series in evaluation.selection.series:
        _paint(evaluation, series, real)
    # Another process may have painted what this one is to look at.
    processes.wait()
    for series in evaluation.selection.series:
        _look(evaluation, series)
    processes.wait()
    return _report(evaluation) if processes.is_main else None


def _keep_settings(evaluation: Evaluation) -> None:
    """Write what pictures depend on; refuse a folder with pictures of other settings."""
    settings = _plain({k: asdict(getattr(evaluation, k)) for k in ("choice", "painting")})
    path = evaluation.out / "settings.json"
    if path.exists():
        found = read_json(path)
        parts = [(part, name) for part, own in settings.items() for name in own]
        other = [name for part, name in parts if found[part].get(name) != settings[part][name]]
        if other:
            raise ValueError(
                f"The folder {str(evaluation.out)!r} holds a run with other settings "
                f"({', '.join(other)}); give the same again, or another --out."
            )
    write_json(settings, path)


def _check_weights(path: Path, pipeline: Any) -> None:
    """Refuse to go on with a model that has changed under its name."""
    from gligen.evaluation.subject import fingerprint

    weights = fingerprint(pipeline.unet)
    if path.exists() and path.read_text() != weights:
        raise ValueError(
            f"The pictures in {str(path.parent)!r} were painted by a model with other weights; "
            "give another --out."
        )
    write_text(weights, path)


def _paint(evaluation: Evaluation, series: Series, real: RealPictures) -> None:
    def work(batch: Sequence[Asked]) -> list[Image.Image]:
        return paint(evaluation.pipeline, batch, series, evaluation.painting, real)

    fill(
        evaluation.processes,
        series.items,
        evaluation.painting.batch_size,
        lambda item: evaluation.picture_path(series, item),
        work,
        lambda picture, path: save_png(picture, path, {"series": series.name}),
        f"painting, {series.title}",
    )


def _look(evaluation: Evaluation, series: Series) -> None:
    """Detect, and score by CLIP, each where a model for it is named."""

    def open_all(batch: Sequence[Asked]) -> list[Image.Image]:
        return [open_picture(evaluation.picture_path(series, item)) for item in batch]

    def detections(batch: Sequence[Asked]) -> list[Any]:
        return detect(
            evaluation.detector,
            open_all(batch),
            batch,
            evaluation.selection,
            evaluation.judging,
            evaluation.painting.is_inpainting,
        )

    def clip_scores(batch: Sequence[Asked]) -> list[Any]:
        return evaluation.clip(open_all(batch), [item.caption for item in batch])

    size, processes = evaluation.painting.batch_size, evaluation.processes
    if evaluation.judging.detector is not None:
        fill(
            processes,
            series.items,
            size,
            lambda item: evaluation.detections_path(series, item),
            detections,
            write_json,
            f"detecting, {series.title}",
        )
    if evaluation.judging.clip is not None:
        fill(
            processes,
            series.items,
            size,
            lambda item: evaluation.clip_path(series, item),
            clip_scores,
            write_json,
            f"CLIP, {series.title}",
        )


def _report(evaluation: Evaluation) -> dict[str, Any]:
    """Score every series and write the report."""
    judging, selection = evaluation.judging, evaluation.selection
    first = selection.series[0]
    size = open_picture(evaluation.picture_path(first, first.items[0])).size
    distance = None
    if judging.real is not None:
        distance = FrechetDistance(
            judging.real,
            evaluation.choice.frame,
            size,
            evaluation.processes.device,
            evaluation.painting.batch_size,
        )
    report = {
        "settings": _plain(
            {k: asdict(getattr(evaluation, k)) for k in ("choice", "painting", "judging")}
        ),
        "num_real": None if distance is None else distance.num_real,
        "asks_by_name": judging.detector is not None
        and isinstance(evaluation.detector, OpenVocabulary),
        "series": [_figures(evaluation, series, size, distance) for series in selection.series],
        "published": published_figures(selection, evaluation.painting),
    }
    write_json(report, evaluation.out / "report.json")
    write_text(format_report(report), evaluation.out / "report.md")
    return report


def _figures(
    evaluation: Evaluation, series: Series, size: tuple[int, int], distance: FrechetDistance | None
) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "name": series.name,
        "title": series.title,
        "num_pictures": len(series.items),
        "num_objects": sum(len(item.layout) for item in series.items),
    }
    if evaluation.judging.detector is not None:
        truth = ground_truth(series, evaluation.selection, size)
        paths = [evaluation.detections_path(series, item) for item in series.items]
        results = [entry for path in paths for entry in read_json(path)]
        write_json(truth, evaluation.out / f"{series.name}-asked.json")
        write_json(results, evaluation.out / f"{series.name}-detections.json")
        figures |= average_precisions(truth, results, evaluation.selection.categories)
    if evaluation.judging.clip is not None:
        scores = [read_json(evaluation.clip_path(series, item)) for item in series.items]
        figures["clip_score"] = sum(scores) / len(scores)
    if distance is not None and len(series.items) > 1:
        figures["FID"] = distance.of(
            [evaluation.picture_path(series, item) for item in series.items]
        )
    return figures


def _key(*values: Any) -> str:
    """Return a short name of a folder that stands for some settings."""
    return f"{zlib.crc32(json.dumps(values).encode()):08x}"


def _plain(value: Any) -> Any:
    """Return JSON values; paths become absolute, since a run may go on from another folder."""
    return json.loads(json.dumps(value, default=lambda path: str(Path(path).resolve())))
