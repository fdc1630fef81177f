"""Checks a dataset wholly: what reading the annotations found, and every picture and map opened."""

from collections.abc import Callable

from gligen.data.dataset import Dataset
from gligen.data.report import Report
from gligen.data.samples import Sample
from gligen.pictures.maps import read_labels


def check(dataset: Dataset, progress: Callable[[int, int], None] | None = None) -> Report:
    """Open every picture and map, and return what is wrong with annotations and files.

    A label above 151 is found where a map is known to hold labels: of panoptic files, and where an
    ignored label was named. A map of other shape is stretched over its picture in training.

    Args:
        dataset: whose samples are opened, one after the other.
        progress: called with the number of samples done, and of all.
    """
    report = dataset.report
    for number in range(len(dataset)):
        _check_files(dataset[number], report)
        if progress is not None:
            progress(number + 1, len(dataset))
    return report


def _check_files(sample: Sample, report: Report) -> None:
    try:
        picture = sample.picture.open()
    except ValueError as error:
        report.num_samples -= 1
        report.add("picture_unreadable", sample.where, str(error))
        return
    if sample.size is not None and picture.size != sample.size:
        report.num_samples -= 1
        message = (
            f"'{sample.picture.path}' is {_shown(picture.size)} pixels when upright; its boxes "
            f"were measured on {_shown(sample.size)}."
        )
        report.add("picture_size", sample.where, message)
    if sample.map is None:
        return
    try:
        chart = sample.map.open()
        if sample.map.segments is not None or sample.map.ignored is not None:
            read_labels(chart)
    except ValueError as error:
        report.add("map_unreadable", sample.where, str(error))
        return
    if chart.size != picture.size:
        message = (
            f"'{sample.map.path}' is {_shown(chart.size)} pixels, the picture "
            f"{_shown(picture.size)}."
        )
        report.add("map_size", sample.where, message)


def _shown(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
