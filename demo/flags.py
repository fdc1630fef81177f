"""The flags of `app.py`: those of the original demo, spelled and valued as there, and ours.

Nothing heavy is imported here, so that `--help` and a wrong flag answer at once.
"""

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True)
class Flags:
    """What was asked for on the command line."""

    model: str  # auto, embedded, official, a path or a hub id
    base: str | None  # a Stable Diffusion 1.x model to put the new layers on
    load: Mapping[str, bool | None]  # by kind; None: not said
    guidance_scale: float  # first value on the page
    alpha_scale: float  # 1: grounding as trained, 0: none
    preset: str  # exact or fast: first values of sampler and steps
    folder: Path | None  # where finished pictures are kept
    share: bool | None  # None: only in a notebook service
    server_name: str
    server_port: int | None
    trained_on: str | None  # base that an adapter was trained on, where it does not hold that
    projection: str | None  # the authors' projection matrix, where a checkpoint does not hold it
    device: str | None
    dtype: str | None
    auth: tuple[str, str] | None  # user name and password


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
        folder=given.folder,
        share=given.share,
        server_name=given.server_name,
        server_port=given.server_port,
        trained_on=given.trained_on,
        projection=given.projection,
        device=given.device,
        dtype=given.dtype,
        auth=given.auth,
    )


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
    add(
        "--guidance_scale",
        type=guidance,
        default=7.5,
        help="first value on the page (default: 7.5)",
    )
    add("--alpha_scale", type=alpha, default=1.0, help="1: grounding as trained (default); 0: none")
    add(
        "--preset",
        choices=("exact", "fast"),
        default="exact",
        help="first values on the page: exact (default) is PLMS with 50 steps, fast is "
        "DPM-Solver++ with 20",
    )
    add("--folder", type=Path, help="keep finished pictures here; left out: they are not kept")
    serving = parser.add_argument_group("serving")
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
    serving.add_argument("--auth", type=credentials, metavar="USER:PASSWORD", help="ask for these")
    return parser


def true_or_false(text: str) -> bool:
    """Read True or False, in any case, as the original's flags are written."""
    values = {"true": True, "false": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"the value is {text!r}; write True or False.")
    return values[text.lower()]


def auto_true_or_false(text: str) -> bool | None:
    """Read auto (None), True or False."""
    if text.lower() == "auto":
        return None
    try:
        return true_or_false(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"the value is {text!r}; write auto, True or False."
        ) from None


def guidance(text: str) -> float:
    """Read a guidance scale."""
    value = _number(text)
    if not 1 <= value <= 100:
        raise argparse.ArgumentTypeError(
            f"the value is {text}; it must be from 1 (no guidance) to 100, 7.5 is usual."
        )
    return value


def alpha(text: str) -> float:
    """Read the strength of the gates."""
    value = _number(text)
    if value not in (0, 1):
        raise argparse.ArgumentTypeError(
            f"the value is {text}; write 1 (grounding as trained) or 0 (no grounding). How long "
            "grounding acts is set by tau on the page."
        )
    return value


def port(text: str) -> int:
    """Read a port number."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(
            f"the value is {text!r}; a port is a whole number from 1 to 65535."
        )
    return int(text)


def credentials(text: str) -> tuple[str, str]:
    """Read a user name and a password."""
    user, colon, password = text.partition(":")
    if not (user and colon and password):
        raise argparse.ArgumentTypeError("write a user name, a colon and a password: anna:secret.")
    return user, password


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"the value is {text!r}; it must be a number.")
    return value
