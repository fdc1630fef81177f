"""From what was asked for and what was found to the figures that are reported."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from gligen.evaluation.detector import THRESHOLD
from gligen.layout import Box

MATCH_IOU = 0.5  # an object counts as placed from this overlap with its box on
_RECALLS = np.linspace(0, 1, 101)  # at which COCO samples the precision


@dataclass(frozen=True)
class Finding:
    """One object that was asked for, and the best place where it was found in the picture."""

    layout: int  # index of the held-out layout
    name: str  # the sprite
    asked: Box  # xyxy in [0, 1]: the box that was given
    found: Box  # xyxy in [0, 1]: the detector's best place, however bad
    score: float  # of that place

    @property
    def overlap(self) -> float:
        """Intersection over union of the two boxes; 0 where the object was not recognised."""
        return intersection_over_union(self.asked, self.found) if self.score >= THRESHOLD else 0.0


@dataclass(frozen=True)
class Summary:
    """The figures of a set of findings."""

    num_objects: int
    recognised: float  # share of the objects that are in the picture at all
    placed: float  # share that is there with an overlap of at least `MATCH_IOU`
    mean_iou: float  # of all objects, 0 for those not recognised
    ap50: float  # average precision at `MATCH_IOU`, mean over the classes


def intersection_over_union(a: Box, b: Box) -> float:
    """Return the overlap of two boxes, 0 to 1."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def summarise(findings: Sequence[Finding]) -> Summary:
    """Return the figures of `findings`.

    Raises:
        ValueError: there are none.
    """
    if not findings:
        raise ValueError("There is nothing to summarise: no object was asked for.")
    overlaps = [finding.overlap for finding in findings]
    return Summary(
        num_objects=len(findings),
        recognised=_share(finding.score >= THRESHOLD for finding in findings),
        placed=_share(overlap >= MATCH_IOU for overlap in overlaps),
        mean_iou=sum(overlaps) / len(overlaps),
        ap50=float(np.mean([average_precision(own) for own in by_class(findings).values()])),
    )


def by_class(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Group findings by the name of the sprite, in alphabetical order."""
    ordered = sorted(findings, key=lambda finding: finding.name)
    return {name: list(own) for name, own in groupby(ordered, key=lambda finding: finding.name)}


def average_precision(findings: Sequence[Finding]) -> float:
    """Return the average precision of one class by COCO's definition, at `MATCH_IOU`.

    Every picture is searched only for the objects that it was asked for, and has one detection of
    each, so there are as many detections as objects. No score threshold applies: a bad ranking
    lowers the figure.
    """
    ranked = sorted(findings, key=lambda finding: -finding.score)
    hits = np.array([intersection_over_union(f.asked, f.found) >= MATCH_IOU for f in ranked])
    precision = hits.cumsum() / np.arange(1, len(hits) + 1)
    recall = hits.cumsum() / len(hits)
    # The best precision at this recall or any higher one; 0 at recalls that are never reached.
    envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(envelope[np.searchsorted(recall, _RECALLS)].mean())


def _share(hits: Iterable[bool]) -> float:
    hits = list(hits)
    return sum(hits) / len(hits)
