"""Measure how fast an adapter trains, and how long it waits for its data.

    python -m benchmarks.training_speed [--base embedded] [--bank runs/bank] [--json speed.json]

Two sources of pictures are timed: a folder in COCO's form (JPEG of 640 x 480 pixels with boxes,
captions and joints), which is drawn first, and, where one is named, a bank of the synthetic world.
Pictures per second and the share of the time spent waiting for data are counted after the first
steps, in which processes start and memory is allotted; the cores at work show whether others had a
part of the machine. On a CUDA device the load that nvidia-smi
reports and the largest memory are shown besides.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from gligen.training.adapter import LOG_EVERY, train_adapter
from gligen.training.settings import PRECISIONS, TrainingSettings
from gligen.training.sources import WORLD, open_examples
from gligen.world import compose_caption, draw_scene, sample_scene

SIZE = (640, 480)  # pixels of a drawn photograph, COCO's usual


@dataclass(frozen=True)
class Speed:
    """What was measured on one source of pictures."""

    data: str
    pictures_per_second: float
    data_share: float  # of the time, spent waiting for data
    cores: float  # that the training process had, on average; less than its threads: shared
    gpu_load: float | None  # per cent, mean; None: no such counter
    gpu_memory: float | None  # GB, the most that was allotted


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--kind", default="generation_text_box")
    add("--base", default="embedded")
    add("--bank", help="folder of gligen.training.bank, encoded")
    add("--steps", type=int, default=4 * LOG_EVERY, help="steps measured (default: %(default)s)")
    add("--batch-size", type=int, default=16)
    add("--workers", type=int, default=2, help="processes that read pictures")
    add("--precision", choices=PRECISIONS, default="bf16")
    add("--num-pictures", type=int, default=200, help="drawn (default: %(default)s)")
    add("--device", choices=("cpu",), help="stay on the CPU where there is a GPU")
    add("--json", type=Path, help="file for the figures")
    return parser


def main() -> None:
    """Measure and print."""
    args = build_parser().parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = draw_coco(Path(folder) / "coco", args.num_pictures)
        sources = {f"files, {args.workers} readers": (str(root), args.workers)}
        if args.bank:
            sources["bank"] = (f"{WORLD}{args.bank}", 0)
        speeds = []
        for name, (data, workers) in sources.items():
            output = Path(folder) / f"run{len(speeds)}"
            speeds.append(measure(name, settings_for(args, output, data, workers), args.device))
    report = {
        "hardware": hardware(args.device),
        "kind": args.kind,
        "base": args.base,
        "batch_size": args.batch_size,
        "precision": args.precision,
        "speeds": [asdict(speed) for speed in speeds],
    }
    print(as_table(report))
    if args.json:
        partial = args.json.with_name(f"{args.json.name}.partial")
        partial.write_text(json.dumps(report, indent=2) + "\n")
        partial.replace(args.json)


def settings_for(
    args: argparse.Namespace, output: Path, data: str, num_workers: int
) -> TrainingSettings:
    """Return the settings of a run that does nothing but train."""
    return TrainingSettings(
        output=str(output),
        data=data,
        kind=args.kind,
        base=args.base,
        num_steps=args.steps + LOG_EVERY,
        batch_size=args.batch_size,
        num_workers=num_workers,
        mixed_precision=args.precision,
        sample_every_steps=0,
        watch_every_steps=0,
        save_every_seconds=1e9,
    )


def measure(name: str, settings: TrainingSettings, device: str | None) -> Speed:
    """Train, and read the speed off the log."""
    has_cuda = torch.cuda.is_available() and device != "cpu"
    if has_cuda:
        torch.cuda.reset_peak_memory_stats()
    with gpu_loads(has_cuda) as loads:
        began, worked = time.perf_counter(), time.process_time()
        train_adapter(settings, open_examples, device)
        cores = (time.process_time() - worked) / (time.perf_counter() - began)
    lines = (Path(settings.output) / "log.jsonl").read_text().splitlines()
    first, last = json.loads(lines[0]), json.loads(lines[-1])
    seconds = last["seconds"] - first["seconds"]
    waited = last["data_share"] * last["seconds"] - first["data_share"] * first["seconds"]
    return Speed(
        data=name,
        pictures_per_second=(last["step"] - first["step"]) * settings.batch_size / seconds,
        data_share=waited / seconds,
        cores=cores,
        gpu_load=statistics.mean(loads) if loads else None,
        gpu_memory=torch.cuda.max_memory_allocated() / 1e9 if has_cuda else None,
    )


@contextmanager
def gpu_loads(has_cuda: bool) -> Iterator[list[float]]:
    """Collect the GPU's load twice a second, in per cent, while the block runs."""
    loads: list[float] = []
    if not has_cuda or shutil.which("nvidia-smi") is None:
        yield loads
        return
    query = ("--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--loop-ms=500")
    device = f"--id={torch.cuda.current_device()}"
    with subprocess.Popen(["nvidia-smi", device, *query], stdout=subprocess.PIPE) as counter:
        yield loads
        counter.terminate()
        told = counter.communicate()[0].decode().split()
    # The model is loaded first: count from the first load on.
    numbers = [float(word) for word in told if word.replace(".", "").isdigit()]
    busy = next((index for index, number in enumerate(numbers) if number), len(numbers))
    loads += numbers[busy:]


def draw_coco(root: Path, num_pictures: int, seed: int = 0) -> Path:
    """Write scenes of the synthetic world as a folder in COCO's form, joints included."""
    rng = np.random.default_rng(seed)
    split = "train2017"
    (root / split).mkdir(parents=True)
    (root / "annotations").mkdir()
    images, boxes, captions, persons = [], [], [], []
    names: dict[str, int] = {"person": 1}
    for number in range(num_pictures):
        scene = sample_scene(rng, person_share=0.25)
        picture = Image.fromarray(draw_scene(scene, rng)).resize(SIZE, Image.Resampling.BICUBIC)
        name = f"{number:012}.jpg"
        picture.save(root / split / name, quality=92)
        images.append({"id": number, "file_name": name, "width": SIZE[0], "height": SIZE[1]})
        captions.append({"id": number, "image_id": number, "caption": compose_caption(scene, rng)})
        for thing in scene.things:
            category = names.setdefault(thing.name, len(names) + 1)
            boxes.append(_annotation(len(boxes), number, category, thing.box))
        persons += [
            _annotation(index, number, 1, person.box) | _joints(person.joints)
            for index, person in enumerate(scene.persons, start=len(persons))
        ]
    categories = [{"id": number, "name": name} for name, number in names.items()]
    files = {"instances": boxes, "captions": captions, "person_keypoints": persons}
    for name, annotations in files.items():
        content = {"images": images, "annotations": annotations, "categories": categories}
        (root / "annotations" / f"{name}_{split}.json").write_text(json.dumps(content))
    return root


def _annotation(identity: int, image: int, category: int, box: tuple[float, ...]) -> dict:
    width, height = SIZE
    x0, y0, x1, y1 = box
    bbox = [x0 * width, y0 * height, (x1 - x0) * width, (y1 - y0) * height]
    return {
        "id": identity,
        "image_id": image,
        "category_id": category,
        "bbox": bbox,
        "area": bbox[2] * bbox[3],
        "iscrowd": 0,
    }


def _joints(joints: tuple[tuple[float, float], ...]) -> dict:
    numbers: list[float] = []
    for x, y in joints:
        is_inside = 0 <= x <= 1 and 0 <= y <= 1
        numbers += [x * SIZE[0], y * SIZE[1], 2] if is_inside else [0, 0, 0]
    return {"keypoints": numbers, "num_keypoints": sum(v > 0 for v in numbers[2::3])}


def hardware(device: str | None) -> str:
    """Return words for what is measured on."""
    if torch.cuda.is_available() and device != "cpu":
        return torch.cuda.get_device_name()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    words = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
        words = models[0] if models else words
    return f"{words}, {cores} cores, {torch.get_num_threads()} threads for training"


def as_table(report: dict) -> str:
    """Return the figures as a Markdown table, with what they were measured on above it."""
    lines = [
        f"{report['kind']} on {report['base']}, batches of {report['batch_size']}, "
        f"{report['precision']}, {report['hardware']}",
        "",
        "| data | pictures a second | waiting for data | cores at work | GPU load | GPU memory |",
        "|---|---|---|---|---|---|",
    ]
    for speed in report["speeds"]:
        load = "-" if speed["gpu_load"] is None else f"{speed['gpu_load']:.0f} %"
        memory = "-" if speed["gpu_memory"] is None else f"{speed['gpu_memory']:.1f} GB"
        lines.append(
            f"| {speed['data']} | {speed['pictures_per_second']:.1f} | "
            f"{100 * speed['data_share']:.1f} % | {speed['cores']:.2f} | {load} | {memory} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
