"""Time one picture with four regions and the default settings on the embedded model.

    python -m benchmarks.sampling_time [--repeats 3] [--device cpu]

Prints the wall time of sampling (text encoding, denoising, decoding), loading excluded.
"""

import argparse
import statistics

import torch

from gligen import Layout, Request, load_pipeline

REGIONS = [
    "a sun: 0.05,0.05,0.40,0.40",
    "a rocket: 0.60,0.05,0.95,0.42",
    "a dog: 0.05,0.55,0.45,0.95",
    "an apple: 0.55,0.58,0.92,0.95",
]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    pipeline = load_pipeline(device=args.device)
    layout = Layout.from_text(REGIONS)
    request = Request("a sun, a rocket, a dog and an apple in a field", layout, seed=0)
    pipeline.generate(request)  # warm up
    seconds = [pipeline.generate(request).seconds for _ in range(args.repeats)]
    print(
        f"{request.num_steps} steps of {request.sampler_name}, {len(layout)} regions, "
        f"{torch.get_num_threads()} threads: median {statistics.median(seconds):.2f} s, "
        f"range {min(seconds):.2f}-{max(seconds):.2f} s over {args.repeats} runs"
    )


if __name__ == "__main__":
    main()
