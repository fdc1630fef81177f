"""The command `python -m gligen data check`: its arguments, and what it prints."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from gligen.data.dataset import open_dataset
from gligen.data.report import LOST

FOUND = 1  # exit code when something cannot be used

EXAMPLES = """examples:
  python -m gligen data check my_pictures.jsonl
  python -m gligen data check coco --split train2017
  python -m gligen data check flickr30k_entities --images flickr30k-images --json

forms of annotations (docs/data.md shows each):
  .jsonl                a line {"image": "a.jpg", "caption": "...",
                        "regions": [{"phrase": "a dog", "box": [x0, y0, x1, y1]}]} a picture
  COCO                  a folder with annotations/*.json, or such files: instances, captions,
                        person_keypoints, panoptic; LVIS; MDETR's with "tokens_positive"
  Flickr30k Entities    a folder with Sentences/*.txt and Annotations/*.xml
  TSV                   of the original's training
"""


def add_data(commands: Any) -> None:
    """Add the command `data` to what `ArgumentParser.add_subparsers` returned."""
    parser = commands.add_parser(
        "data",
        help="check pictures and annotations for training",
        description="Look after training data. `check` reads the annotations, opens every picture\n"
        "and map, and says what is missing or wrong, with file and line; exit code 1 if\n"
        "anything cannot be used.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("action", choices=("check",), help="what to do")
    add("paths", nargs="+", metavar="PATH", help="a folder, or files of one form")
    add("--images", metavar="FOLDER", help="where the pictures are (default: around the files)")
    add("--maps", metavar="FOLDER", help="where the maps are (default: as the annotations say)")
    add("--split", metavar="NAME", help="which part of the folder, for example train2017")
    add(
        "--ignored-label",
        type=int,
        metavar="N",
        help="value of unlabelled pixels in label maps, often 255 (default: none)",
    )
    add("--cache", metavar="FOLDER", help="for the index (default: ~/.cache/gligen/data)")
    add("--quick", action="store_true", help="do not open the pictures (default: open all)")
    add("--json", action="store_true", help="as one JSON object (default: as lines)")


def run_data(options: argparse.Namespace) -> int:
    """Check a dataset, print the report, and return the exit code.

    Raises:
        ValueError: there is nothing to check; one sentence says why.
    """
    dataset = open_dataset(
        [Path(path) for path in options.paths],
        images=options.images,
        maps=options.maps,
        split=options.split,
        ignored_label=options.ignored_label,
        cache=options.cache,
    )
    report = dataset.report
    if not options.quick:
        from gligen.data.checking import check

        report = check(dataset, _show_progress if sys.stderr.isatty() else None)
    if options.json:
        text = json.dumps({"form": dataset.form, **report.to_json()}, ensure_ascii=False)
    else:
        text = f"{dataset.form}: " + "\n".join(report.lines())
    sys.stdout.write(f"{text}\n")
    return FOUND if report.count(LOST) else 0


def _show_progress(done: int, total: int) -> None:
    if done % 50 == 0 or done == total:
        end = "\n" if done == total else ""
        sys.stderr.write(f"\rPicture {done} of {total}{end}")
        sys.stderr.flush()
