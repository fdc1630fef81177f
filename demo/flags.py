"""The flags of `app.py`: those of the original demo, spelled and valued as there, and ours.

Nothing heavy is imported here, so that `--help` and a wrong flag answer at once.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.flag_values import (
    alpha,
    auto_true_or_false,
    credentials,
    credentials_file,
    guidance,
    memory,
    port,
    preset,
    seconds,
    true_or_false,
    whole_from_one,
)
from gligen.presets import Preset

# By kind, the flag that loads it and what it does.
LOADS = {
    "generation_text_box": ("--load-text-box-generation", "boxes with phrases"),
    "inpainting_text_box": ("--load-text-box-inpainting", "repainting parts of a photo"),
    "generation_text_image_box": (
        "--load-text-image-box-generation",
        "boxes with phrases and reference pictures, and style",
    ),
    "inpainting_text_image_box": (
        "--load-text-image-box-inpainting",
        "repainting parts of a photo, with reference pictures",
    ),
    "keypoint": ("--load-keypoint", "people placed by their joints"),
    "hed": ("--load-hed", "pictures from a map of soft edges"),
    "canny": ("--load-canny", "pictures from Canny edges"),
    "depth": ("--load-depth", "pictures from a depth map"),
    "normal": ("--load-normal", "pictures from a map of surface normals"),
    "semantic": ("--load-semantic", "pictures from a map of classes"),
}
DTYPES = ("float32", "float16", "bfloat16")
MAX_QUEUE = 16  # requests that may wait
GRACE_SECONDS = 8.0  # container runtimes kill after ten


@dataclass(frozen=True)
class Flags:
    """What was asked for on the command line."""

    model: str  # auto, embedded, official, a path or a hub id
    base: str | None  # a Stable Diffusion 1.x model to put the new layers on
    load: Mapping[str, bool | None]  # by kind; None: not said
    guidance_scale: float  # first value on the page
    alpha_scale: float  # 1: grounding as trained, 0: none
    preset: Preset  # first value on the page
    compiles: bool  # the model, with torch.compile
    folder: Path | None  # where finished pictures are kept; None: nowhere
    share: bool | None  # None: only in a notebook service
    server_name: str
    server_port: int | None
    trained_on: str | None  # base that an adapter was trained on, where it does not hold that
    projection: str | None  # the authors' projection matrix, where a checkpoint does not hold it
    device: str | None
    dtype: str | None
    device_budget: int | None  # bytes of the device's memory that may be used; None: all of it
    auth: tuple[tuple[str, str], ...]  # user names and passwords; empty: no login
    max_queue: int  # requests that may wait
    max_batch: int | None  # pictures of several requests made together; None: as the device can
    rate_limit: int | None  # requests a minute for each session and address; None: any number
    grace: float  # seconds that a picture may still take when the app is told to end
    checks_safety: bool  # of the official models' pictures
    logs_prompts: bool
    mcp: bool  # also serve the model context protocol


def parse_flags(arguments: Sequence[str] | None = None) -> Flags:
    """Read the command line; a wrong value ends the program with status 2 and a sentence."""
    parser = build_parser()
    given = parser.parse_args(arguments)
    return Flags(
        model=given.model,
        base=given.base or given.official_ckpt,
        load={kind: getattr(given, kind) for kind in LOADS},
        guidance_scale=given.guidance_scale,
        alpha_scale=given.alpha_scale,
        preset=given.preset,
        compiles=given.compile,
        folder=_one_folder(parser, given.output_folder, given.folder),
        share=given.share,
        server_name=given.server_name,
        server_port=given.server_port,
        trained_on=given.trained_on,
        projection=given.projection,
        device=given.device,
        dtype=given.dtype,
        device_budget=given.device_budget,
        auth=tuple(pair for pairs in (given.auth_file, *given.auth) for pair in pairs),
        max_queue=given.max_queue,
        max_batch=given.max_batch,
        rate_limit=given.rate_limit,
        grace=given.grace,
        checks_safety=not given.no_safety_checker,
        logs_prompts=given.log_prompts,
        mcp=given.mcp,
    )


def _one_folder(
    parser: argparse.ArgumentParser, ours: Path | None, original: Path | None
) -> Path | None:
    if ours is not None and original is not None and ours != original:
        parser.error(
            f"--output-folder is {str(ours)!r} and --folder, the original's name for it, is "
            f"{str(original)!r}; give one of them."
        )
    return ours or original


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of `app.py`."""
    parser = argparse.ArgumentParser(
        prog="app.py",
        description="Serve the GLIGEN page: say where each thing goes, and let a model paint it.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    models = parser.add_argument_group("model")
    models.add_argument(
        "--model",
        default="auto",
        metavar="{auto,embedded,official,PATH,HUB_ID}",
        help="auto: the official models when there is a CUDA device and they can be had, else the "
        "embedded one, which needs no download (default: auto)",
    )
    models.add_argument(
        "--base", help="Stable Diffusion 1.x model for the new layers: path or hub id"
    )
    models.add_argument("--official_ckpt", metavar="PATH", help="the original's name for --base")
    models.add_argument(
        "--trained-on",
        metavar="MODEL",
        help="base that an adapter of an inpainting or map kind was trained on, if the adapter "
        "does not hold its first convolution",
    )
    models.add_argument(
        "--projection",
        metavar="FILE",
        help="the authors' projection_matrix of the text-image kinds, if the checkpoint does not "
        "hold it",
    )
    loads = parser.add_argument_group(
        "kinds to load",
        "Left out: boxes with phrases of the official model, and of any other model all that it "
        "holds.",
    )
    for kind, (name, what) in LOADS.items():
        default = "True" if kind == "generation_text_box" else "False"
        loads.add_argument(
            name,
            dest=kind,
            type=true_or_false,
            metavar="{True,False}",
            help=f"load {what} (official model: default {default})",
        )
    models.add_argument("--device", help="cpu, cuda, cuda:1, mps; left out: the fastest there is")
    models.add_argument("--dtype", choices=DTYPES, help="left out: float16 on CUDA, else float32")
    models.add_argument(
        "--device-budget",
        type=memory,
        metavar="6GB",
        help="memory of the device that may be used: models that do not fit are kept in main "
        "memory and brought when they are needed; the terminal says what was chosen (left out: "
        "all models stay on the device)",
    )
    add(
        "--guidance_scale",
        type=guidance,
        default=7.5,
        help="first value on the page (default: 7.5)",
    )
    add("--alpha_scale", type=alpha, default=1.0, help="1: grounding as trained (default); 0: none")
    add(
        "--preset",
        type=preset,
        default="exact",
        metavar="NAME",
        help="first value on the page: exact (default), or faster for a little less quality: fast "
        "(DPM-Solver++, 20 steps), faster (and no guidance at the end), deepcache=N (deep levels "
        "of the UNet once in N steps, 2-10)",
    )
    add(
        "--compile",
        action="store_true",
        help="compile the model: the first pictures take minutes, those after them less than "
        "without (for a GPU that paints all day; needs a C++ compiler)",
    )
    add(
        "--output-folder",
        type=Path,
        metavar="FOLDER",
        help="keep finished pictures here, with their settings inside; left out: they are only on "
        "the page, and in a cache that is emptied of what is older than an hour, and at the end",
    )
    add(
        "--folder",
        type=Path,
        help="the original's name for --output-folder; left out, nothing is kept",
    )
    add(
        "--no-safety-checker",
        action="store_true",
        help="official model: show every picture. Left out, the checker that Stable Diffusion was "
        "released with looks at each, and paints those black that it takes for sexual content; it "
        "may err in both directions. Without it, you answer for what is shown",
    )
    _add_serving(parser.add_argument_group("serving"))
    _add_operation(parser.add_argument_group("many people"))
    return parser


def _add_serving(serving: argparse._ArgumentGroup) -> None:
    serving.add_argument(
        "--share",
        type=auto_true_or_false,
        default="auto",
        metavar="{auto,True,False}",
        help="make a public link; auto (default): only in a notebook service",
    )
    serving.add_argument(
        "--server-name", default="127.0.0.1", help="0.0.0.0 serves the network (default: 127.0.0.1)"
    )
    serving.add_argument("--server-port", type=port, help="left out: the first free from 7860 on")
    serving.add_argument(
        "--auth",
        type=credentials,
        action="append",
        default=[],
        metavar="USER:PASSWORD",
        help="ask for this name and password; may be given several times. Other people on this "
        "machine can see it in the list of processes: rather use --auth-file",
    )
    serving.add_argument(
        "--auth-file",
        type=credentials_file,
        default=(),
        metavar="FILE",
        help="ask for one of the pairs in this file: USER:PASSWORD, one a line",
    )
    serving.add_argument(
        "--mcp",
        action="store_true",
        help="also serve the endpoints to programs that speak the model context protocol; needs "
        "pip install 'gradio[mcp]'",
    )


def _add_operation(operation: argparse._ArgumentGroup) -> None:
    operation.add_argument(
        "--max-queue",
        type=whole_from_one,
        default=MAX_QUEUE,
        metavar="N",
        help="requests that may wait for the device; more are refused with a sentence (default: "
        f"{MAX_QUEUE})",
    )
    operation.add_argument(
        "--max-batch",
        type=whole_from_one,
        metavar="N",
        help="pictures of requests next to each other in the line that are painted together where "
        "they have the same model, size, steps, sampler and tau; 1: never (left out: 8 on CUDA, "
        "else 4)",
    )
    operation.add_argument(
        "--rate-limit",
        type=whole_from_one,
        metavar="N",
        help="requests a minute for each session and each network address; more are refused with "
        "a sentence that says when to try again (left out: any number)",
    )
    operation.add_argument(
        "--grace",
        type=seconds,
        default=GRACE_SECONDS,
        metavar="SECONDS",
        help="when told to end (SIGTERM, Ctrl-C): how long the picture at work may still take "
        f"before it is stopped within a step (default: {GRACE_SECONDS:g})",
    )
    operation.add_argument(
        "--log-prompts",
        action="store_true",
        help="write prompts and labels into the log lines on stderr; left out: never",
    )
