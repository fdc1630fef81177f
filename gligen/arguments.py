"""The arguments of the command line, with their help; `gligen.cli` runs the commands."""

import argparse
import sys
from typing import NoReturn

from gligen.data.command import add_data
from gligen.evaluation.command import add_evaluate
from gligen.kinds import KINDS
from gligen.presets import USUAL_STEPS
from gligen.request import AS_PRESET
from gligen.training.command import add_train

BAD_INPUT = 2  # exit code

GENERATE_EXAMPLES = """examples:
  python -m gligen generate --prompt "a dog and a sun in a field" --seed 7 -o out.png \\
      --region "a dog: 0.10,0.45,0.50,0.95" --region "a sun: 0.60,0.05,0.95,0.40"
  python -m gligen generate --layout layout.json --num-images 4 --enlarge 8 --overlay -o sheet.png
  python -m gligen generate --model gligen_sd14_textbox_pruned.safetensors \\
      --base stable-diffusion-v1-5/stable-diffusion-v1-5 --region "a cat: 0.2,0.2,0.8,0.9"

with models of the other kinds:
  python -m gligen generate --model official --prompt "a park" --style painting.png \\
      --region "a dog: 0.1,0.4,0.5,0.9" --region ": 0.6,0.3,0.9,0.9" --region-image 2=statue.jpg
  python -m gligen generate --model official --prompt "two dancers" --keypoints pose.json
  python -m gligen generate --model official --prompt "a kitchen" --kind depth --map depth.png
  python -m gligen generate --model official --prompt "a castle" --canny-from photo.jpg
"""
INPAINT_EXAMPLES = """examples:
  python -m gligen inpaint --image photo.jpg --region "a balloon: 0.60,0.10,0.90,0.50" -o out.png
  python -m gligen inpaint --image photo.jpg --mask mask.png --feather 6 \\
      --region "a cat: 0.20,0.40,0.60,0.95" --prompt "a cat on a beach" --seed 3 -o out.png
"""
CONVERT_EXAMPLES = """examples:
  python -m gligen convert diffusion_pytorch_model.bin gligen-text-box --to diffusers
  python -m gligen convert diffusion_pytorch_model.bin canny.safetensors --to adapter \\
      --kind canny --trained-on SD_input_conv_weight_bias.pth --dtype float16
  python -m gligen convert keypoint.safetensors my-model --to gligen --base my-base.safetensors
  python -m gligen convert gligen-text-box pruned.safetensors --to adapter --names comfyui
"""
INFO_EXAMPLES = """examples:
  python -m gligen info embedded
  python -m gligen info diffusion_pytorch_model.bin
  python -m gligen info out.png        (the settings a picture was made with)
"""


class Parser(argparse.ArgumentParser):
    """An argument parser that answers bad arguments with one sentence."""

    def error(self, message: str) -> NoReturn:
        """Print the sentence and leave with exit code 2."""
        complain(f"{message}; see {self.prog} --help.")
        self.exit(BAD_INPUT)


def build_parser() -> Parser:
    """Return the parser of all commands."""
    parser = Parser(
        prog="python -m gligen",
        description="Say where each thing goes in a generated picture.",
        epilog="Each command explains itself: python -m gligen generate --help",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    verbatim = argparse.RawDescriptionHelpFormatter

    generate = commands.add_parser(
        "generate",
        help="paint a picture from a prompt and regions",
        description="Paint pictures. Each region is a phrase and the box where it shall appear.",
        epilog=GENERATE_EXAMPLES,
        formatter_class=verbatim,
    )
    _add_subject(generate)
    _add_references(generate)
    _add_whole_picture(generate)
    generate.add_argument("--width", type=int, metavar="PIXELS", help="default: as trained")
    generate.add_argument("--height", type=int, metavar="PIXELS", help="default: as trained")
    _add_sampling(generate)
    _add_output(generate)
    _add_model(generate)
    generate.set_defaults(image=None, mask=None, feather=0, zoom=1.0)

    inpaint = commands.add_parser(
        "inpaint",
        help="repaint parts of a picture",
        description="Repaint the hole of a picture: the white of the mask, or without a mask the "
        "boxes. Outside the hole the picture stays as it is, pixel for pixel, at its own size.",
        epilog=INPAINT_EXAMPLES,
        formatter_class=verbatim,
    )
    add = inpaint.add_argument
    add("--image", required=True, metavar="FILE", help="the picture, any size and shape")
    add("--mask", metavar="FILE", help="a picture of the same size, white where to repaint")
    add(
        "--feather",
        type=int,
        default=0,
        metavar="PIXELS",
        help="width of the soft edge inside the hole (default: %(default)s)",
    )
    add(
        "--zoom",
        type=float,
        default=4.0,
        metavar="N",
        help="paint a small hole up to N times finer than the picture, so that small things get "
        "their shape; 1: at the picture's own resolution (default: %(default)g)",
    )
    _add_subject(inpaint)
    _add_references(inpaint)
    _add_sampling(inpaint)
    _add_output(inpaint)
    _add_model(inpaint)
    inpaint.set_defaults(width=None, height=None, keypoints=None, map=None, canny_from=None)

    convert = commands.add_parser(
        "convert",
        help="write a model in another form",
        description="Write a model in another form. diffusers: a folder (phrases and reference "
        "pictures in boxes). adapter: the new layers alone, one file. official: the authors' "
        "checkpoint. gligen: a folder, a plain base with adapters/KIND.safetensors. Weights stay "
        "as they are unless --dtype says otherwise.",
        epilog=CONVERT_EXAMPLES,
        formatter_class=verbatim,
    )
    _add_conversion(convert)

    add_train(commands)
    add_data(commands)
    add_evaluate(commands)

    info = commands.add_parser(
        "info",
        help="say what a model file, a folder or a picture is",
        description="Say what a model is: its kind, sizes and parameters, and what is recorded "
        "with it; of a PNG made here, the settings.",
        epilog=INFO_EXAMPLES,
        formatter_class=verbatim,
    )
    info.add_argument(
        "source", metavar="MODEL", help="embedded, a file, a diffusers folder, a hub id, or a PNG"
    )
    info.add_argument("--kind", metavar="KIND", help="canny or depth, where only you can know")
    info.add_argument("--json", action="store_true", help="as one JSON object (default: as lines)")
    return parser


def _add_conversion(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("source", metavar="IN", help="a file, a folder, a hub id, or embedded")
    add("target", metavar="OUT", help="what to write: a file or a folder, as the form has it")
    add(
        "--to",
        required=True,
        choices=("diffusers", "adapter", "official", "gligen"),
        help="the form to write",
    )
    add("--kind", metavar="KIND", help="which of several; also tells canny from depth")
    add("--base", metavar="MODEL", help="Stable Diffusion 1.x (folder, file, hub id) to put it on")
    add(
        "--trained-on",
        metavar="MODEL",
        help="the base it was trained on, or the authors' SD_input_conv_weight_bias.pth, for "
        "inpainting and map kinds that do not hold its first convolution",
    )
    add(
        "--projection",
        metavar="FILE",
        help="the authors' projection_matrix, for kinds that read reference pictures",
    )
    add("--tokenizer", metavar="FOLDER", help="CLIP tokenizer for checkpoints without one")
    add(
        "--names",
        default="diffusers",
        choices=("diffusers", "comfyui"),
        help="of an adapter's weights (default: %(default)s)",
    )
    add("--dtype", metavar="NAME", help="float32, float16 or bfloat16 (default: as they are)")
    add("--force", action="store_true", help="replace OUT if it is there (default: no)")


def _add_subject(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what to paint")
    add = group.add_argument
    add(
        "--prompt",
        default="",
        metavar="TEXT",
        help="the whole picture in words (default: the phrases of the regions)",
    )
    add(
        "--region",
        action="append",
        default=[],
        metavar='"PHRASE: X0,Y0,X1,Y1"',
        help="a phrase and its box in fractions of the picture, x to the right, y down; repeatable",
    )
    add(
        "--layout",
        metavar="FILE",
        help='layout file, as the web page or --save-layout writes it: {"gligen": 1, "regions": '
        '[{"phrase": "a dog", "box": [x0, y0, x1, y1]}], "persons": []}, or a list of such '
        "regions, or another editor's JSON; --region and --keypoints add to it",
    )
    add(
        "--save-layout",
        metavar="FILE",
        help="also write regions and people as a layout file (default: no)",
    )
    add(
        "--append-grounding",
        action="store_true",
        help="append to the prompt the phrases that it does not contain (default: no)",
    )
    add("--negative-prompt", default="", metavar="TEXT", help="what to avoid (default: nothing)")


def _add_references(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("pictures as examples (text-image kinds)")
    add = group.add_argument
    add(
        "--region-image",
        action="append",
        default=[],
        metavar="N=FILE",
        help="reference picture of region N, counted from 1 (those of --layout first), beside its "
        'phrase or, with the region written as ": X0,Y0,X1,Y1", instead of one; repeatable',
    )
    add("--style", metavar="FILE", help="picture whose look to take (default: none)")
    add(
        "--style-box",
        default="official",
        metavar="NAME",
        help="where the style token stands: official (0,1,0,1) or space (0,0,1,0.01), as in the "
        "authors' script or in their demo (default: %(default)s)",
    )
    add(
        "--crop-references",
        action="store_true",
        help="cut reference pictures to a square instead of squashing them (default: no)",
    )


def _add_whole_picture(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("people and maps (keypoint and map kinds)")
    group.add_argument(
        "--keypoints",
        metavar="FILE",
        help="JSON with the joints of up to 8 people: COCO's, OpenPose's, or a list of people with "
        "17 joints each, [x, y] in [0, 1] or null, in COCO's order (default: nobody)",
    )
    maps = group.add_mutually_exclusive_group()
    maps.add_argument(
        "--map",
        metavar="FILE",
        help="map of the whole picture; --kind says what it shows (default: none)",
    )
    maps.add_argument(
        "--canny-from",
        metavar="FILE",
        help="photo whose Canny edges are the map (default: none)",
    )
    group.add_argument(
        "--canny-thresholds",
        type=float,
        nargs=2,
        default=(100.0, 200.0),
        metavar=("LOW", "HIGH"),
        help="edges above HIGH count, and those above LOW that continue them (default: 100 200)",
    )


def _add_sampling(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("sampling")
    add = group.add_argument
    add(
        "--preset",
        default="exact",
        metavar="NAME",
        help="exact, or faster for a little less quality: fast (DPM-Solver++, 20 steps), faster "
        "(and no guidance in the last 40 %% of them), deepcache=N (deep levels of the UNet once in "
        "N steps, 2-10); --steps and --sampler go before a preset's own (default: %(default)s)",
    )
    add(
        "--steps",
        type=int,
        metavar="N",
        help=f"denoising steps (default: {USUAL_STEPS}, or the preset's)",
    )
    add(
        "--guidance",
        type=float,
        default=7.5,
        metavar="SCALE",
        help="how closely to follow the prompt, 1 = no guidance (default: %(default)s)",
    )
    add(
        "--guidance-rescale",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="against overexposure at high guidance, 0 = off to 1 (default: %(default)s)",
    )
    gates = group.add_mutually_exclusive_group()
    gates.add_argument(
        "--tau",
        type=float,
        metavar="SHARE",
        help="share of the steps, from the first, that follow the layout (default: as the authors "
        "ran the kind: 0.3, with pictures 1, edges 0.9, other maps 0.7)",
    )
    gates.add_argument(
        "--schedule",
        type=float,
        nargs=3,
        metavar=("FULL", "DECAY", "OFF"),
        help="three shares that sum to 1: full strength, linear decay, off (default: --tau)",
    )
    add(
        "--sampler",
        default=AS_PRESET,
        metavar="NAME",
        help="plms, ddim, dpm++, unipc, euler, euler_a, heun or pndm (default: plms, or the "
        "preset's)",
    )
    add(
        "--seed",
        type=int,
        metavar="N",
        help="of the first picture, the next has N + 1 (default: random, printed)",
    )
    add(
        "--num-images",
        type=int,
        default=1,
        metavar="N",
        help="pictures to make (default: %(default)s)",
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    add = group.add_argument
    add(
        "-o",
        "--output",
        default="out.png",
        metavar="FILE.png",
        help="PNG that also carries the settings; several become FILE-1.png, FILE-2.png, ...; "
        "existing files are replaced (default: %(default)s)",
    )
    add(
        "--enlarge",
        type=int,
        default=1,
        metavar="N",
        help="enlarge the result N times, for small models (default: as produced)",
    )
    add(
        "--overlay",
        action="store_true",
        help="also write FILE-boxes.png, with boxes and people drawn on it (default: no)",
    )


def _add_model(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("model")
    add = group.add_argument
    add(
        "--model",
        default="embedded",
        metavar="MODEL",
        help="embedded (64 x 64 pixels, no download), official (from the hub), a checkpoint or "
        "adapter file, a diffusers folder, or a hub id (default: %(default)s)",
    )
    add(
        "--base",
        metavar="MODEL",
        help="Stable Diffusion 1.x (folder, file, hub id) that an adapter is put on",
    )
    add(
        "--kind",
        metavar="KIND",
        help="what the model is grounded on, one of: " + ", ".join(KINDS) + " (default: what "
        "the layout needs)",
    )
    add(
        "--trained-on",
        metavar="MODEL",
        help="base that an adapter of an inpainting or map kind was trained on, or the authors' "
        "file of its first convolution, if the adapter does not hold it (default: it does)",
    )
    add(
        "--projection",
        metavar="FILE",
        help="the authors' projection_matrix of the text-image kinds, if the checkpoint does not "
        "hold it (default: it does)",
    )
    add(
        "--tokenizer",
        metavar="FOLDER",
        help="CLIP tokenizer for checkpoints without one "
        "(default: openai/clip-vit-large-patch14 from the hub)",
    )
    add("--device", metavar="NAME", help="cpu, cuda, cuda:1, mps (default: the fastest there is)")
    add(
        "--dtype",
        metavar="NAME",
        help="float32, float16 or bfloat16 (default: float16 on CUDA, else float32)",
    )


def complain(message: str) -> None:
    """Print the sentence that ends the program, on one line."""
    sys.stderr.write(f"gligen: error: {' '.join(message.split())}\n")
