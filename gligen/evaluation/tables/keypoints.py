"""Keypoints: do the persons of a picture stand as their joints say?"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from gligen.evaluation.layouts import HeldOut, held_out_scenes
from gligen.evaluation.metrics import Precision, Thing, joint_precision
from gligen.evaluation.options import WorldOptions
from gligen.evaluation.plots import bar_chart, sheet
from gligen.evaluation.poses import find_persons
from gligen.evaluation.report import Illustration, Section, markdown_table, share
from gligen.evaluation.series import Picture, Record, Series, drawn, generated
from gligen.evaluation.subject import Subject
from gligen.evaluation.tables.table import MeasuredSeries, Table, needs_kind
from gligen.layout import Layout
from gligen.person import Person
from gligen.training.world_examples import clipped
from gligen.world import ScenePerson

KIND = "keypoint"
ON, OFF, DRAWN = "keypoints-on", "keypoints-off", "keypoints-drawn"
TITLES = {ON: "grounding on", OFF: "grounding off", DRAWN: "drawn scenes"}

MAX_PERSONS = 2  # of a scene; so many are looked for in every picture
PERSON = "person"


@dataclass(frozen=True)
class KeypointsResult:
    """Average precision by the similarity of joints (OKS), by series."""

    num_persons: int
    ap: Mapping[str, float]
    ap50: Mapping[str, float]
    ap75: Mapping[str, float]


def plan(subject: Subject, options: WorldOptions) -> list[Series]:
    """Return the series of the table."""
    scenes = held_out_scenes(options.num_layouts, subject.grounded_names, person_share=1.0)
    items = [with_persons(item) for item in scenes]
    pipeline = subject.pipelines[KIND]
    return [
        generated(ON, items, pipeline, options, examine),
        generated(OFF, items, pipeline, options, examine, tau=0.0),
        drawn(DRAWN, items, examine),
    ]


def with_persons(item: HeldOut) -> HeldOut:
    """Give the joints of an item's persons as its layout."""
    persons = tuple(Person(clipped(person.joints)) for person in item.scene.persons)
    return replace(item, layout=Layout(persons=persons))


def examine(item: HeldOut, picture: Picture) -> Record:
    """Look for persons; as many in every picture, whatever it was asked for."""
    del item
    found = find_persons(picture, MAX_PERSONS)
    return {
        "persons": [
            {"joints": [list(joint) for joint in f.person.joints], "score": round(f.score, 4)}
            for f in found
        ]
    }


def summarise(measured: MeasuredSeries) -> KeypointsResult:
    """Return the figures of the series."""
    precision = {name: _precision(measured, name) for name in TITLES}
    return KeypointsResult(
        sum(len(item.scene.persons) for item in measured[ON].items),
        {name: own.ap for name, own in precision.items()},
        {name: own.ap50 for name, own in precision.items()},
        {name: own.ap75 for name, own in precision.items()},
    )


def section(subject: Subject, options: WorldOptions, measured: MeasuredSeries) -> Section:
    """Describe the figures."""
    del subject, options
    result = summarise(measured)
    figures = {"AP": result.ap, "AP50": result.ap50, "AP75": result.ap75}
    rows = [[t, *(share(own[name]) for own in figures.values())] for name, t in TITLES.items()]
    text = "\n\n".join(
        [
            f"{result.num_persons} persons in {len(measured[ON].items)} pictures, beside 0-2 "
            f"sprites. In every picture {MAX_PERSONS} figures are looked for, and what is found is "
            "compared with what was asked for by COCO's similarity of joints (OKS); AP by "
            "pycocotools.",
            markdown_table(["", "AP", "AP50", "AP75"], rows),
        ]
    )
    bars = {key: [own[name] for name in TITLES] for key, own in figures.items()}
    illustrations = (
        Illustration("keypoints.png", "OKS-AP", bar_chart(list(TITLES.values()), bars, "share")),
        Illustration(
            "keypoints-sheet.png",
            "The first layouts, with grounding and without",
            sheet(measured[ON].items, {TITLES[n]: measured[n].pictures for n in (ON, OFF)}),
        ),
    )
    return Section("keypoints", "Keypoints", text, illustrations, asdict(result))


def _precision(measured: MeasuredSeries, name: str) -> Precision:
    asked, found = [], []
    for item, record in zip(measured[name].items, measured[name].records, strict=True):
        asked += [Thing(item.index, PERSON, p.box, person=p) for p in item.scene.persons]
        for entry in record["persons"]:
            person = ScenePerson(tuple((x, y) for x, y in entry["joints"]))
            found.append(Thing(item.index, PERSON, person.box, entry["score"], person))
    return joint_precision(asked, found)


TABLE = Table("keypoints", needs_kind(KIND), plan, section)
