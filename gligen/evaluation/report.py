"""The report of an evaluation: Markdown for people, JSON for programs, and the plots beside it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gligen.evaluation.state import write_whole


@dataclass(frozen=True)
class Illustration:
    """A picture of the report."""

    file_name: str  # ends in .png
    caption: str
    png: bytes


@dataclass(frozen=True)
class Section:
    """One table of the report."""

    name: str  # of the table, as the command line calls it
    title: str
    text: str  # Markdown: what it shows, and the figures
    illustrations: tuple[Illustration, ...]
    figures: dict[str, Any]  # plain JSON values


@dataclass(frozen=True)
class Report:
    """All that an evaluation found."""

    model: str
    facts: dict[str, Any]  # how it was measured; plain JSON values
    sections: tuple[Section, ...]
    lacking: dict[str, str]  # tables that could not be measured -> why

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain JSON values."""
        return {
            "model": self.model,
            **self.facts,
            "tables": {section.name: section.figures for section in self.sections},
            "lacking": self.lacking,
        }

    def to_markdown(self) -> str:
        """Return the report for people."""
        parts = [f"# How well {self.model} obeys its layouts", _introduction(self.facts)]
        for section in self.sections:
            pictures = [f"![{i.caption}]({i.file_name})" for i in section.illustrations]
            parts += [f"## {section.title}", section.text, *pictures]
        if self.lacking:
            reasons = [f"- **{name}**: {reason}" for name, reason in self.lacking.items()]
            parts += ["## Not measured", "\n".join(reasons)]
        parts += ["## How it was measured", _method(self.facts)]
        return "\n\n".join(parts) + "\n"

    def write(self, folder: Path) -> Path:
        """Write the report and its pictures, each whole or not at all; return the Markdown."""
        folder.mkdir(parents=True, exist_ok=True)
        for section in self.sections:
            for illustration in section.illustrations:
                write_whole(folder / illustration.file_name, illustration.png)
        text = json.dumps(self.to_json(), indent=1) + "\n"
        write_whole(folder / "report.json", text.encode())
        write_whole(folder / "report.md", self.to_markdown().encode())
        return folder / "report.md"


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are aligned to the right."""
    lines = [
        "| " + " | ".join(head) + " |",
        "|---|" + "---:|" * (len(head) - 1),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
    return "\n".join(lines)


def share(value: float) -> str:
    """Write a share from 0 to 1 as the tables show it."""
    return f"{value:.3f}"


def _introduction(facts: dict[str, Any]) -> str:
    settings = facts["settings"]
    return (
        f"Measured on {facts['num_layouts']} held-out layouts of the synthetic world, "
        f"{settings['steps']} steps of {settings['sampler']}, guidance {settings['guidance']:g}. "
        "The captions name things and no place, so where things go is said by the layout alone. "
        "What a picture shows is found by fits of the world's sprites and figures, without any "
        "trained network; *drawn scenes* are what a perfect model would paint, and show how far "
        "the measure itself can be trusted."
    )


def _method(facts: dict[str, Any]) -> str:
    settings = facts["settings"]
    taus = ", ".join(f"{kind} {tau:g}" for kind, tau in settings["tau"].items())
    versions = ", ".join(f"{name} {version}" for name, version in facts["software"].items())
    rows = [
        [name, str(entry["pictures"]), f"{entry['painting']:.0f}", f"{entry['examining']:.0f}"]
        for name, entry in facts["series"].items()
    ]
    total = sum(entry["painting"] + entry["examining"] for entry in facts["series"].values())
    return "\n\n".join(
        [
            f"- Steps {settings['steps']}, sampler {settings['sampler']}, guidance "
            f"{settings['guidance']:g}; share of the steps with grounding (tau): {taus}.\n"
            f"- Layout i is drawn from seed {facts['first_seed']} + i, its noise from seed i.\n"
            f"- The base knows {len(facts['names'])} sprites: {', '.join(facts['names'])}"
            + ("; and persons.\n" if facts["knows_persons"] else ".\n")
            + f"- Device {facts['device']}, {facts['threads']} thread(s), {total:.0f} s in all.\n"
            f"- Software: {versions}.",
            markdown_table(["series", "pictures", "painting, s", "examining, s"], rows),
        ]
    )
