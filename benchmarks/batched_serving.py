"""Requests of several people painted together, against one after the other, on the embedded model.

    python -m benchmarks.batched_serving [--requests 8] [--steps 10] [--rounds 5] [--threads 1 2]
        [--dtypes float32 bfloat16] [--device cpu]

First checks that the latents together are those alone: largest difference as a share of the largest
value, and relative RMS. Then alternates both ways, and prints the seconds for a request, wall time
and processor time of this process: median (least to most). On a machine with other work, processor
time is the steadier of the two.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from gligen import GligenPipeline, Layout, Request, load_pipeline
from gligen.sampling import Step

WORDS = ("sun", "comet", "dog", "apple", "rocket", "frog", "house", "tree")
PLACES = ("at night", "in a field", "on a beach", "in the snow")
LARGEST_SHARE = 1e-4  # above it the results are not the same, and nothing is timed


def make_requests(number: int, steps: int) -> list[Request]:
    """Return requests that differ in prompt, boxes, guidance and seed."""
    requests = []
    for index in range(number):
        word, other = WORDS[index % len(WORDS)], WORDS[(index + 3) % len(WORDS)]
        left = 0.05 * (index % 4)
        layout = Layout.from_lists(
            [f"a {word}", f"a {other}"],
            [(left, 0.1, left + 0.4, 0.5), (0.5, 0.5, 0.9, 0.95)],
        )
        prompt = f"a {word} and a {other} {PLACES[index % len(PLACES)]}"
        guidance = 5.0 + index % 3
        requests.append(
            Request(
                prompt,
                layout,
                seed=index,
                guidance_scale=guidance,
                num_inference_steps=steps,
            )
        )
    return requests


def apart(pipeline: GligenPipeline, requests: list[Request]) -> list[Tensor]:
    """Answer one request after the other; return the last latents of each."""
    found = []
    for request in requests:
        *_, step, _ = pipeline.stream(request)
        assert isinstance(step, Step)
        found.append(step.latents)
    return found


def together(pipeline: GligenPipeline, requests: list[Request]) -> list[Tensor]:
    """Answer all requests side by side; return the last latents of each."""
    found: dict[int, Tensor] = {}
    for number, event in pipeline.stream_together(requests):
        if isinstance(event, Step):
            found[number] = event.latents
    return [found[number] for number in range(len(requests))]


def compare(found: list[Tensor], expected: list[Tensor]) -> tuple[float, float]:
    """Return the largest difference as a share of the largest value, and the relative RMS."""
    a, b = torch.cat(found).double(), torch.cat(expected).double()
    share = (a - b).abs().max() / b.abs().max()
    return share.item(), ((a - b).pow(2).mean() / b.pow(2).mean()).sqrt().item()


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """Return wall seconds and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - wall, time.process_time() - processor


def spread(values: list[float]) -> str:
    """Return the median, the least and the most."""
    return f"{statistics.median(values):.3f} ({min(values):.3f}-{max(values):.3f})"


def measure(pipeline: GligenPipeline, requests: list[Request], rounds: int) -> None:
    """Check, alternate, and print."""
    expected = apart(pipeline, requests)  # warms up too
    share, rms = compare(together(pipeline, requests), expected)
    print(f"  difference: {share:.1e} of the largest value, relative RMS {rms:.1e}")
    if share > LARGEST_SHARE:
        raise SystemExit("Together the results are others than alone; nothing was timed.")
    seconds: dict[str, list[tuple[float, float]]] = {"alone": [], "together": []}
    for _ in range(rounds):
        seconds["alone"].append(timed(lambda: apart(pipeline, requests)))
        seconds["together"].append(timed(lambda: together(pipeline, requests)))
    for index, clock in enumerate(("wall", "processor")):
        each = {
            name: [taken[index] / len(requests) for taken in found]
            for name, found in seconds.items()
        }
        gains = [a / b for a, b in zip(each["alone"], each["together"], strict=True)]
        print(
            f"  {clock:9} s a request: alone {spread(each['alone'])}, together "
            f"{spread(each['together'])}; throughput x {spread(gains)}"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=8)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", type=int, help="side in pixels; default: as trained")
    args = parser.parse_args()
    for dtype in args.dtypes:
        pipeline = load_pipeline(device=args.device, dtype=dtype)
        requests = make_requests(args.requests, args.steps)
        if args.size:
            requests = [replace(r, width=args.size, height=args.size) for r in requests]
        for threads in args.threads:
            torch.set_num_threads(threads)
            print(f"{args.requests} requests, {args.steps} steps, {dtype}, {threads} threads")
            measure(pipeline, requests, args.rounds)


if __name__ == "__main__":
    main()
