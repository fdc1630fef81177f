"""How well pictures show the sprites that were asked for, in their boxes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gligen.evaluation.detector import THRESHOLD, look
from gligen.evaluation.layouts import HeldOut
from gligen.evaluation.metrics import Thing, box_precision, intersection_over_union
from gligen.evaluation.series import Examiner, Picture, Record


@dataclass(frozen=True)
class SpriteFigures:
    """What a set of pictures comes to; shares from 0 to 1."""

    num_objects: int
    ap: float  # COCO's AP; every picture is searched for every name that was asked for anywhere
    ap50: float
    ap75: float
    # The same at 0.5 if each picture is searched only for the names that it was asked for
    ap50_asked: float
    top1: float  # boxes in which, of all names, the one asked for explains the picture best
    mean_iou: float  # of the best place of each name that was asked for; 0 where not recognised
    ap50_by_name: Mapping[str, float] = field(default_factory=dict)
    top1_by_name: Mapping[str, float] = field(default_factory=dict)


def sprite_examiner(names: Sequence[str]) -> Examiner:
    """Return what looks for all `names` in a picture: anywhere, and in each asked box."""

    def examine(item: HeldOut, picture: Picture) -> Record:
        seen = look(picture, names, item.boxes)
        return {
            "found": {d.name: [*d.box, round(d.score, 4)] for d in seen.best},
            "in_boxes": [
                {name: round(score, 4) for name, score in zip(names, scores, strict=True)}
                for scores in seen.in_boxes
            ],
        }

    return examine


def sprite_figures(items: Sequence[HeldOut], records: Sequence[Record]) -> SpriteFigures:
    """Return the figures of pictures of which `sprite_examiner` made the records.

    Raises:
        ValueError: nothing was asked for.
    """
    asked = [thing for item in items for thing in asked_things(item)]
    found = [t for i, r in zip(items, records, strict=True) for t in found_things(i.index, r)]
    wanted = {(thing.picture, thing.name) for thing in asked}
    searched = box_precision(asked, found)
    named = box_precision(asked, [t for t in found if (t.picture, t.name) in wanted])
    overlaps, is_best = [], []
    for item, record in zip(items, records, strict=True):
        for name, box, scores in zip(item.names, item.boxes, record["in_boxes"], strict=True):
            *place, score = record["found"][name]
            is_found = score >= THRESHOLD
            overlaps.append(intersection_over_union(box, tuple(place)) if is_found else 0.0)
            is_best.append((name, best_name(scores) == name))
    names = sorted({name for name, _ in is_best})
    return SpriteFigures(
        num_objects=len(asked),
        ap=searched.ap,
        ap50=searched.ap50,
        ap75=searched.ap75,
        ap50_asked=named.ap50,
        top1=_share([hit for _, hit in is_best]),
        mean_iou=sum(overlaps) / len(overlaps),
        ap50_by_name=searched.by_name,
        top1_by_name={n: _share([hit for name, hit in is_best if name == n]) for n in names},
    )


def asked_things(item: HeldOut) -> list[Thing]:
    """Return the sprites that an item asks for."""
    return [Thing(item.index, name, box) for name, box in zip(item.names, item.boxes, strict=True)]


def found_things(picture: int, record: Record) -> list[Thing]:
    """Return what a record of `sprite_examiner` found, the best place of each name."""
    return [
        Thing(picture, name, (x0, y0, x1, y1), score)
        for name, (x0, y0, x1, y1, score) in record["found"].items()
    ]


def best_name(scores: Mapping[str, float]) -> str | None:
    """Return the name with the best score, None if there was no place for any."""
    name = max(scores, key=lambda name: scores[name])
    return name if scores[name] > -1 else None


def _share(hits: Sequence[bool]) -> float:
    return sum(hits) / len(hits)
