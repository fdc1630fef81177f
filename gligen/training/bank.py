"""A bank of drawn scenes on disk, so that training does not wait for drawing.

`images.npy` holds uint8 (N, 64, 64, 3); `scenes.json` the scene behind each picture. Captions are
not
stored: they are composed anew each time a scene is used, which multiplies the paraphrases.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np

from gligen.world import IMAGE_SIZE, Scene, SceneObject, draw_scene, sample_scene

CHUNK = 1000  # scenes drawn from one seed; part of the recipe, the bank depends on it

# Seeds below this belong to training, those from here on to held-out layouts.
HELD_OUT_SEED = 1_000_000


def draw_chunk(seed: int) -> tuple[np.ndarray, list[Scene]]:
    """Draw `CHUNK` scenes from `seed`: uint8 (CHUNK, 64, 64, 3) and the scenes."""
    rng = np.random.default_rng(seed)
    scenes = [sample_scene(rng) for _ in range(CHUNK)]
    return np.stack([draw_scene(scene, rng) for scene in scenes]), scenes


def build_bank(folder: Path, num_scenes: int, workers: int) -> None:
    """Draw `num_scenes` (a multiple of `CHUNK`) training scenes into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    shape = (num_scenes, IMAGE_SIZE, IMAGE_SIZE, 3)
    partial = folder / "images.partial.npy"
    images = np.lib.format.open_memmap(partial, "w+", np.uint8, shape)
    scenes: list[dict] = []
    with ProcessPoolExecutor(workers) as pool:
        for index, (pictures, drawn) in enumerate(pool.map(draw_chunk, range(num_scenes // CHUNK))):
            images[index * CHUNK : (index + 1) * CHUNK] = pictures
            scenes += [asdict(scene) for scene in drawn]
            print(f"\r{len(scenes)} of {num_scenes} scenes", end="", flush=True)
    print()
    images.flush()
    (folder / "scenes.json").write_text(json.dumps(scenes))
    partial.rename(folder / "images.npy")


def load_images(folder: Path) -> np.ndarray:
    """Map the pictures of a bank: uint8 (N, 64, 64, 3)."""
    return np.load(folder / "images.npy", mmap_mode="r")


def load_scenes(folder: Path) -> list[Scene]:
    """Read the scenes of a bank, in the order of its pictures."""
    return [
        Scene(
            scene["background"],
            tuple(SceneObject(item["name"], tuple(item["box"])) for item in scene["objects"]),
        )
        for scene in json.loads((folder / "scenes.json").read_text())
    ]


def main() -> None:
    """Build a bank from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--num-scenes", type=int, default=48_000)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    build_bank(args.folder, args.num_scenes, args.workers)


if __name__ == "__main__":
    main()
