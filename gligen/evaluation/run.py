"""Generate the held-out layouts with grounding on, off and mirrored, and score what came out."""

import json
import os
import time
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from gligen.evaluation.detector import THRESHOLD, best_fit
from gligen.evaluation.layouts import HeldOut, held_out_layouts, mirrored
from gligen.evaluation.metrics import MATCH_IOU, Finding, by_class, summarise
from gligen.evaluation.options import Options
from gligen.layout import Layout
from gligen.pictures.images import contact_sheet, draw_boxes
from gligen.world import IMAGE_SIZE

NUM_SHOWN = 12  # layouts of which the pictures are kept for the contact sheet
SHOWN_SIZE = 192  # pixels, side of a picture there
SHOWN_COLUMNS = 2  # layouts in a row there


@dataclass
class Progress:
    """What has been measured so far; written to disk after every batch."""

    findings: dict[str, list[Finding]] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)  # layouts finished, by mode
    shown: dict[str, list[np.ndarray]] = field(default_factory=dict)  # uint8 HWC, by mode
    seconds: float = 0.0  # wall time of generating and scoring


def evaluate(
    pipeline: Any,
    options: Options,
    state_path: Path | None = None,
    on_batch: Callable[[str, int], None] | None = None,
) -> Progress:
    """Measure how well `pipeline` follows boxes.

    Args:
        pipeline: a `GligenPipeline` of the generation kind.
        options: what to measure.
        state_path: file to continue from if it exists, and to save to after every batch.
        on_batch: told the mode and the number of its layouts that were just finished.

    Raises:
        ValueError: the state file belongs to other options or to another model.
    """
    identity = asdict(options) | {"weights": fingerprint(pipeline.unet)}
    progress = load_progress(state_path, identity) if state_path else Progress()
    layouts = held_out_layouts(options.num_layouts)
    for mode in options.modes:
        finished = progress.done.get(mode, 0)
        if on_batch:
            on_batch(mode, finished)
        for start in range(finished, len(layouts), options.batch_size):
            began = time.perf_counter()
            batch = layouts[start : start + options.batch_size]
            pictures = generate_batch(pipeline, batch, mode, options)
            _score(progress, mode, batch, pictures)
            progress.seconds += time.perf_counter() - began
            if state_path:
                save_progress(state_path, identity, progress)
            if on_batch:
                on_batch(mode, len(batch))
    return progress


def fingerprint(unet: torch.nn.Module) -> str:
    """Return a short text that differs between trainings of a model, not between its loads."""
    sums = [f"{name} {p.detach().double().sum().item():.9g}" for name, p in unet.named_parameters()]
    return f"{zlib.crc32(chr(10).join(sums).encode()):08x}"


def given_layout(item: HeldOut, mode: str) -> Layout:
    """Return the boxes that count in `mode`: those given to the model (off: those not given)."""
    return mirrored(item.layout) if mode == "mirrored" else item.layout


def generate_batch(
    pipeline: Any, batch: list[HeldOut], mode: str, options: Options
) -> list[np.ndarray]:
    """Generate one picture for each layout, every one from its own seed: uint8 (64, 64, 3)."""
    images = pipeline(
        [item.caption for item in batch],
        layout=[given_layout(item, mode) for item in batch],
        num_inference_steps=options.steps,
        guidance_scale=options.guidance_scale,
        gligen_scheduled_sampling_beta=0.0 if mode == "off" else options.tau,
        sampler=options.sampler,
        generator=[torch.Generator("cpu").manual_seed(item.seed) for item in batch],
    ).images
    size = (IMAGE_SIZE, IMAGE_SIZE)
    # A model of another size is judged at the world's own, which the detector knows.
    return [
        np.asarray(image if image.size == size else image.resize(size, Image.Resampling.BOX))
        for image in images
    ]


def _score(progress: Progress, mode: str, batch: list[HeldOut], pictures: list[np.ndarray]) -> None:
    """Look for the named objects of every picture and add what was found."""
    findings = progress.findings.setdefault(mode, [])
    shown = progress.shown.setdefault(mode, [])
    for item, picture in zip(batch, pictures, strict=True):
        for name, box in zip(item.names, given_layout(item, mode).boxes, strict=True):
            best = best_fit(picture, name)
            findings.append(Finding(item.index, name, box, best.box, best.score))
        if len(shown) < NUM_SHOWN:
            shown.append(picture)
    progress.done[mode] = progress.done.get(mode, 0) + len(batch)


def make_report(progress: Progress, options: Options, model: str) -> dict[str, Any]:
    """Return the figures as plain JSON values."""
    return {
        "model": model,
        "options": asdict(options) | {"modes": list(options.modes)},
        "detector": {"threshold": THRESHOLD, "match_iou": MATCH_IOU},
        "seconds": round(progress.seconds, 1),
        "modes": {mode: _figures(progress.findings[mode]) for mode in options.modes},
    }


def _figures(findings: list[Finding]) -> dict[str, Any]:
    counts = {n: sum(f.layout == n for f in findings) for n in {f.layout for f in findings}}
    by_count = {
        str(count): asdict(summarise([f for f in findings if counts[f.layout] == count]))
        for count in sorted(set(counts.values()))
    }
    classes = {name: asdict(summarise(own)) for name, own in by_class(findings).items()}
    return asdict(summarise(findings)) | {"by_num_objects": by_count, "classes": classes}


def draw_grid(progress: Progress, options: Options) -> Image.Image:
    """Draw the first pictures of every mode side by side, each with its boxes and their names."""
    layouts = held_out_layouts(min(NUM_SHOWN, options.num_layouts))
    images, captions = [], []
    for item in layouts:
        for mode in options.modes:
            picture = Image.fromarray(progress.shown[mode][item.index])
            picture = picture.resize((SHOWN_SIZE, SHOWN_SIZE), Image.Resampling.LANCZOS)
            images.append(draw_boxes(picture, given_layout(item, mode)))
            captions.append(f"{mode}: {item.caption}")
    return contact_sheet(images, SHOWN_COLUMNS * len(options.modes), captions)


# --- saving and continuing -----------------------------------------------------------------------


def save_progress(path: Path, identity: dict[str, Any], progress: Progress) -> None:
    """Write the state whole or not at all."""
    record = {
        "identity": identity,
        "done": progress.done,
        "seconds": progress.seconds,
        "findings": {m: [asdict(f) for f in own] for m, own in progress.findings.items()},
    }
    arrays: dict[str, Any] = {f"shown_{mode}": np.stack(p) for mode, p in progress.shown.items()}
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, record=np.array(json.dumps(record)), **arrays)
    os.replace(partial, path)  # noqa: PTH105 (atomic on every system)


def load_progress(path: Path, identity: dict[str, Any]) -> Progress:
    """Read the state of a run that was cut short; a missing file is an empty one.

    Raises:
        ValueError: the state belongs to another run, or cannot be read.
    """
    if not path.exists():
        return Progress()
    try:
        with np.load(path, allow_pickle=False) as state:
            record = json.loads(str(state["record"]))
            shown = {
                key.removeprefix("shown_"): list(state[key])
                for key in state.files
                if key.startswith("shown_")
            }
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"The state {path} cannot be read ({error}); delete it to start anew."
        ) from None
    if record["identity"] != json.loads(json.dumps(identity)):
        raise ValueError(
            f"The state {path} belongs to a run with other settings ({record['identity']}); delete "
            "it to start anew, or give another --out."
        )
    findings = {
        mode: [_finding(entry) for entry in own] for mode, own in record["findings"].items()
    }
    return Progress(findings, record["done"], shown, record["seconds"])


def _finding(entry: dict[str, Any]) -> Finding:
    asked, found = tuple(entry["asked"]), tuple(entry["found"])
    return Finding(entry["layout"], entry["name"], asked, found, entry["score"])
