"""The command line: `python -m gligen generate|inpaint|convert|train|data|evaluate|info`.

Bad input ends with one sentence on stderr and exit code 2; anything else that goes wrong is a
defect and shows its traceback. What needs torch is imported when a command runs, so that --help
answers at once.
"""

import argparse
import json
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from PIL import Image

from gligen.arguments import BAD_INPUT, build_parser, complain
from gligen.data.command import run_data
from gligen.evaluation.command import run_evaluate
from gligen.kinds import kind_named
from gligen.layout import Layout
from gligen.pictures.images import draw_layout, open_picture
from gligen.pictures.metadata import save_png
from gligen.subject import choose_kind, read_layout
from gligen.training.command import run_train

if TYPE_CHECKING:
    from gligen.request import Request, Result

NO_MEMORY = 1
INTERRUPTED = 130  # 128 + SIGINT, as shells count

# Boxes and phrases on a smaller picture could not be read; an overlay is enlarged to this width.
OVERLAY_WIDTH = 512
MAX_ENLARGEMENT = 32


class BadInputError(Exception):
    """Something the user gave cannot be used; the message is one sentence for them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    0; 1 where memory does not hold a picture, 2 for bad input, 130 when interrupted.
    """
    try:
        options = build_parser().parse_args(arguments)
        if options.command == "data":
            return _data(options)
        commands = {
            "info": _info,
            "convert": _convert,
            "train": _train,
            "evaluate": _evaluate,
        }
        commands.get(options.command, _paint)(options)
    except BadInputError as error:
        complain(str(error))
        return BAD_INPUT
    except MemoryError as error:
        complain(str(error))
        return NO_MEMORY
    except KeyboardInterrupt:
        print("\ngligen: interrupted; nothing unfinished was written.", file=sys.stderr)
        return INTERRUPTED
    return 0


def _paint(options: argparse.Namespace) -> None:
    """Answer `generate` and `inpaint`: check, load, paint, write."""
    with _refusing_bad_input():
        output = _check_output(options)
        layout = read_layout(options)
        kind = choose_kind(options, layout)
        request = _request(options, layout, kind)
        _quiet_libraries()
        from gligen.loading import load_pipeline
        from gligen.pictures.maps import canny_map
        from gligen.sampling import Step

        if sys.stderr.isatty():
            print(f"Loading {options.model} ...", file=sys.stderr, flush=True)
        pipeline = load_pipeline(
            options.model,
            kind,
            options.base,
            options.device,
            options.dtype,
            options.tokenizer,
            options.trained_on,
            options.projection,
        )
        if options.canny_from is not None:
            width, height = pipeline.image_size
            size = options.width or width, options.height or height
            edges = canny_map(cast("Image.Image", layout.map), size, *options.canny_thresholds)
            request = replace(request, layout=replace(layout, map=edges))
        items = pipeline.stream(request)
        # Whatever the model must refuse, it refuses before the first step is done.
        item = next(items)
    while isinstance(item, Step):
        _show_step(item.index, item.num_steps)
        item = next(items)
    _write(item, layout, output, options)


def _request(options: argparse.Namespace, layout: Layout, kind: str) -> "Request":
    from gligen.request import Request

    image = None if options.image is None else open_picture(options.image)
    mask = None if options.mask is None else open_picture(options.mask).convert("L")
    tau = kind_named(kind).usual_tau if options.tau is None else options.tau
    return Request(
        prompt=options.prompt,
        layout=layout,
        negative_prompt=options.negative_prompt,
        num_images=options.num_images,
        num_inference_steps=options.steps,
        guidance_scale=options.guidance,
        gate_schedule=tuple(options.schedule) if options.schedule else tau,
        guidance_rescale=options.guidance_rescale,
        sampler=options.sampler,
        preset=options.preset,
        seed=options.seed,
        width=options.width,
        height=options.height,
        append_grounding=options.append_grounding,
        inpaint_image=image,
        inpaint_mask=mask,
        mask_feather=options.feather,
        hole_zoom=options.zoom,
        style_box=options.style_box,
        crop_references=options.crop_references,
    )


def _check_output(options: argparse.Namespace) -> Path:
    output = Path(options.output)
    if output.suffix.lower() != ".png":
        raise ValueError(
            f"The output {options.output!r} must end in .png, the format that carries the settings."
        )
    if not output.parent.is_dir():
        raise ValueError(f"There is no folder {str(output.parent)!r} to write to; create it first.")
    if options.save_layout is not None and not Path(options.save_layout).parent.is_dir():
        raise ValueError(
            f"There is no folder for the layout {options.save_layout!r}; create it first."
        )
    if not 1 <= options.enlarge <= MAX_ENLARGEMENT:
        raise ValueError(
            f"The enlargement is {options.enlarge}; it must be from 1 to {MAX_ENLARGEMENT}."
        )
    return output


def _show_step(index: int, total: int) -> None:
    if sys.stderr.isatty():
        end = "\n" if index == total else ""
        print(f"\rStep {index} of {total}", end=end, file=sys.stderr, flush=True)
    elif index % max(1, total // 10) == 0 or index == total:
        print(f"Step {index} of {total}", file=sys.stderr, flush=True)


def _write(result: "Result", layout: Layout, output: Path, options: argparse.Namespace) -> None:
    """Write every picture, and print its name and seed."""
    for index, (image, seed) in enumerate(zip(result.images, result.seeds, strict=True)):
        path = output
        if len(result.images) > 1:
            path = output.with_stem(f"{output.stem}-{index + 1}")
        settings = result.settings(index)
        with _refusing_bad_input():
            save_png(_enlarged(image, options.enlarge), path, settings)
            print(f"{path}  seed {seed}")
            if options.overlay:
                factor = max(options.enlarge, -(-OVERLAY_WIDTH // image.width))
                overlay = draw_layout(_enlarged(image, factor), layout)
                path = path.with_stem(f"{path.stem}-boxes")
                save_png(overlay, path, settings)
                print(f"{path}")
    if options.save_layout is not None:
        with _refusing_bad_input():
            print(_save_layout(layout, result.images[0].size, Path(options.save_layout)))
    print(f"Prompt: {result.prompt}; {result.seconds:.1f} s.", file=sys.stderr)


def _save_layout(layout: Layout, size: tuple[int, int], path: Path) -> Path:
    try:
        path.write_text(layout.to_json(*size) + "\n", encoding="utf-8")
    except OSError as error:
        raise ValueError(
            f"The layout cannot be written to {str(path)!r} ({error.strerror})."
        ) from None
    return path


def _enlarged(image: Image.Image, factor: int) -> Image.Image:
    if factor == 1:
        return image
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.LANCZOS)


def _info(options: argparse.Namespace) -> None:
    with _refusing_bad_input():
        _quiet_libraries()
        from gligen.weights.description import describe, facts

        if options.json:
            lines = [json.dumps(facts(options.source, options.kind), indent=2)]
        else:
            lines = describe(options.source, options.kind)
    print("\n".join(lines))


def _convert(options: argparse.Namespace) -> None:
    with _refusing_bad_input():
        _quiet_libraries()
        from gligen.weights.converting import Conversion, convert

        values = {k: v for k, v in vars(options).items() if k not in ("command", "target")}
        conversion = Conversion(target=Path(options.target), **values)
        written = convert(conversion, lambda sentence: print(sentence, file=sys.stderr, flush=True))
    for path in written:
        print(path)


def _train(options: argparse.Namespace) -> None:
    with _refusing_bad_input():
        _quiet_libraries()
        run_train(options)


def _evaluate(options: argparse.Namespace) -> None:
    with _refusing_bad_input():
        _quiet_libraries()
        run_evaluate(options)


def _data(options: argparse.Namespace) -> int:
    with _refusing_bad_input():
        return run_data(options)


def _quiet_libraries() -> None:
    """Keep hints of the libraries (no torchvision, renamed options) off the terminal."""
    import transformers
    from diffusers.utils import logging as diffusers_logging

    transformers.utils.logging.set_verbosity_error()
    diffusers_logging.set_verbosity_error()


@contextmanager
def _refusing_bad_input() -> Generator[None]:
    """Turn what the library says about bad input into the sentence that ends the program."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise BadInputError(str(error)) from error
