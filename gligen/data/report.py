"""What was found wrong in a dataset: counted by rule, and the first few listed with their place.

Nothing that a reader leaves out or changes goes unmentioned: every such case is one call of
`Report.add`, with one of `RULES`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOST, REPAIRED, NOTED = "lost", "repaired", "noted"

NUM_EXAMPLES = 10  # listed for each rule; all are counted


@dataclass(frozen=True)
class Rule:
    """One thing that can be wrong, and what is done about it."""

    name: str  # in JSON, and as `Report.add` calls it
    level: str  # LOST: something is not used; REPAIRED: changed and used; NOTED: good to know
    meaning: str  # for people


_TABLE = (
    Rule("entry_unreadable", LOST, "an entry cannot be read; it is left out"),
    Rule("picture_missing", LOST, "the picture is not there; the sample is left out"),
    Rule("picture_unreadable", LOST, "the picture cannot be read; the sample is left out"),
    Rule("picture_unlisted", LOST, "an annotation is of a picture that is not listed; left out"),
    Rule("picture_size", LOST, "the picture has another size than its boxes; opening it fails"),
    Rule("box_invalid", LOST, "a box is not four finite numbers; the region is left out"),
    Rule("box_outside", LOST, "a box reaches more than a pixel outside; the region is left out"),
    Rule("box_degenerate", LOST, "a box has no width or height; the region is left out"),
    Rule("phrase_empty", LOST, "a region has no phrase; it is left out"),
    Rule("category_unknown", LOST, "a category has no entry; the region is left out"),
    Rule("segment_unknown", LOST, "a segment has no known category; it is unlabelled in the map"),
    Rule("regions_too_many", LOST, "more regions than slots; the largest are kept"),
    Rule("persons_too_many", LOST, "more persons than slots; the largest are kept"),
    Rule("keypoints_invalid", LOST, "keypoints are not 17 joints; the person is left out"),
    Rule("keypoints_outside", LOST, "a joint is more than a pixel outside; it counts as not seen"),
    Rule("map_missing", LOST, "the map is not there; the sample has none"),
    Rule("map_unreadable", LOST, "the map cannot be read or has labels above 151"),
    Rule("field_unknown", LOST, "an entry has a field of unknown name; the field is not used"),
    Rule("box_clipped", REPAIRED, "a box reached outside by a pixel or less; it was clipped"),
    Rule("keypoints_clipped", REPAIRED, "a joint was outside by a pixel or less; it was moved in"),
    Rule("map_size", REPAIRED, "the map has another size; it is stretched over the picture"),
    Rule("caption_missing", NOTED, "there is no caption; the phrases stand in for it"),
    Rule("crowd", NOTED, "a box is around a crowd (iscrowd); it is not used"),
    Rule("phrase_without_box", NOTED, "a marked phrase has no box; it is in the caption alone"),
    Rule("person_without_joints", NOTED, "a person has no visible joint; it is not used"),
    Rule("grounding_missing", NOTED, "the sample has no region, person or map"),
)
RULES = {rule.name: rule for rule in _TABLE}


@dataclass(frozen=True)
class Problem:
    """One case, with its place."""

    where: str  # file and line, or file and entry
    message: str  # one sentence


class Report:
    """Counts problems by rule, and keeps the first few of each.

    Attributes:
        num_samples: samples that can be used.
        counts: rule name -> cases.
        examples: rule name -> the first cases, `num_examples` at most.
        absent: files that were missing or unreadable; where one changes, it is worth reading anew.
    """

    def __init__(self, num_examples: int = NUM_EXAMPLES):
        self.num_examples = num_examples
        self.num_samples = 0
        self.counts: dict[str, int] = {}
        self.examples: dict[str, list[Problem]] = {}
        self.absent: list[Path] = []

    def add(self, rule: str, where: str, message: str) -> None:
        """Count one case of a rule.

        Raises:
            KeyError: there is no such rule.
        """
        name = RULES[rule].name
        self.counts[name] = self.counts.get(name, 0) + 1
        listed = self.examples.setdefault(name, [])
        if len(listed) < self.num_examples:
            listed.append(Problem(where, message))

    def add_absent(self, rule: str, where: str, path: Path, message: str = "") -> None:
        """Count one case of a file that is missing or cannot be read."""
        self.absent.append(path)
        self.add(rule, where, message or f"There is no file '{path}'.")

    def count(self, level: str) -> int:
        """Return the number of cases of a level."""
        return sum(n for name, n in self.counts.items() if RULES[name].level == level)

    def include(self, other: "Report") -> None:
        """Add the samples and cases of another report."""
        self.num_samples += other.num_samples
        for name, count in other.counts.items():
            self.counts[name] = self.counts.get(name, 0) + count
            listed = self.examples.setdefault(name, [])
            listed += other.examples[name][: self.num_examples - len(listed)]

    def lines(self) -> list[str]:
        """Return the report for people: the worst first, each rule with its examples."""
        lines = [
            f"{self.num_samples} samples; {self.count(LOST)} problems, {self.count(REPAIRED)} "
            f"repairs, {self.count(NOTED)} notes."
        ]
        for rule in _TABLE:
            if rule.name not in self.counts:
                continue
            lines.append(f"{rule.level}: {self.counts[rule.name]} x {rule.name} ({rule.meaning})")
            listed = self.examples[rule.name]
            lines += [f"    {problem.where}: {problem.message}" for problem in listed]
            if self.counts[rule.name] > len(listed):
                lines.append(f"    ... and {self.counts[rule.name] - len(listed)} more")
        return lines

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, the form of `python -m gligen data check --json`."""
        return {
            "num_samples": self.num_samples,
            "totals": {level: self.count(level) for level in (LOST, REPAIRED, NOTED)},
            "rules": {
                rule.name: {
                    "level": rule.level,
                    "meaning": rule.meaning,
                    "count": self.counts[rule.name],
                    "examples": [vars(problem) for problem in self.examples[rule.name]],
                }
                for rule in _TABLE
                if rule.name in self.counts
            },
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any], num_examples: int = NUM_EXAMPLES) -> "Report":
        """Return what `to_json` described."""
        report = cls(num_examples)
        report.num_samples = value["num_samples"]
        for name, entry in value["rules"].items():
            report.counts[name] = entry["count"]
            report.examples[name] = [Problem(**problem) for problem in entry["examples"]]
        return report
