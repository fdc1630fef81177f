"""A bank of drawn scenes on disk, so that training does not wait for drawing.

`images.npy` holds uint8 (N, 64, 64, 3); `scenes.json` the scene behind each picture. Captions are
not stored: they are composed anew each time a scene is used, which multiplies the paraphrases.
`world.json` says what the scenes were drawn from; a bank without it is of the first world.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from gligen.world import (
    ALL_SPRITE_NAMES,
    IMAGE_SIZE,
    SPRITE_NAMES,
    Scene,
    SceneObject,
    ScenePerson,
    draw_scene,
    sample_scene,
)

CHUNK = 1000  # scenes drawn from one seed; part of the recipe, the bank depends on it

# Seeds below this belong to training, those from here on to held-out layouts.
HELD_OUT_SEED = 1_000_000


@dataclass(frozen=True)
class World:
    """What the scenes of a bank are drawn from."""

    names: tuple[str, ...] = SPRITE_NAMES  # sprites
    person_share: float = 0.0  # scenes with one or two persons


# Known to a base of the larger world and left out of grounded training: placing them all the same
# is the open-set claim.
OPEN_SET_NAMES = ALL_SPRITE_NAMES[len(SPRITE_NAMES) :]

FIRST_WORLD = World()
LARGE_WORLD = World(ALL_SPRITE_NAMES, 0.25)
WORLDS = {
    "first": FIRST_WORLD,
    "large": LARGE_WORLD,
    # What a base of the larger world is grounded on: the other names stay its open set.
    "grounded": World(SPRITE_NAMES, 0.25),
}


def draw_chunk(seed: int, world: World = FIRST_WORLD) -> tuple[np.ndarray, list[Scene]]:
    """Draw `CHUNK` scenes from `seed`: uint8 (CHUNK, 64, 64, 3) and the scenes."""
    rng = np.random.default_rng(seed)
    scenes = [
        sample_scene(rng, names=world.names, person_share=world.person_share) for _ in range(CHUNK)
    ]
    return np.stack([draw_scene(scene, rng) for scene in scenes]), scenes


def build_bank(folder: Path, num_scenes: int, workers: int, world: World = FIRST_WORLD) -> None:
    """Draw `num_scenes` (a multiple of `CHUNK`) training scenes into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "world.json").write_text(json.dumps(asdict(world)))
    shape = (num_scenes, IMAGE_SIZE, IMAGE_SIZE, 3)
    unfinished = folder / "images.partial.npy"
    images = np.lib.format.open_memmap(unfinished, "w+", np.uint8, shape)
    scenes: list[dict] = []
    with ProcessPoolExecutor(workers) as pool:
        chunks = pool.map(partial(draw_chunk, world=world), range(num_scenes // CHUNK))
        for index, (pictures, drawn) in enumerate(chunks):
            images[index * CHUNK : (index + 1) * CHUNK] = pictures
            scenes += [asdict(scene) for scene in drawn]
            print(f"\r{len(scenes)} of {num_scenes} scenes", end="", flush=True)
    print()
    images.flush()
    (folder / "scenes.json").write_text(json.dumps(scenes))
    unfinished.rename(folder / "images.npy")


def load_images(folder: Path) -> np.ndarray:
    """Map the pictures of a bank: uint8 (N, 64, 64, 3)."""
    return np.load(folder / "images.npy", mmap_mode="r")


def load_scenes(folder: Path) -> list[Scene]:
    """Read the scenes of a bank, in the order of its pictures."""
    return [_scene(stored) for stored in json.loads((folder / "scenes.json").read_text())]


def _scene(stored: dict) -> Scene:
    objects = tuple(SceneObject(item["name"], tuple(item["box"])) for item in stored["objects"])
    # Banks of the first world know no persons.
    persons = tuple(
        ScenePerson(tuple((x, y) for x, y in person["joints"]))
        for person in stored.get("persons", ())
    )
    return Scene(stored["background"], objects, persons)


def load_world(folder: Path) -> World:
    """Read what the scenes of a bank were drawn from."""
    path = folder / "world.json"
    if not path.exists():
        return FIRST_WORLD
    stored = json.loads(path.read_text())
    return World(tuple(stored["names"]), stored["person_share"])


def main() -> None:
    """Build a bank from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--num-scenes", type=int, default=60_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--world",
        choices=WORLDS,
        default="large",
        help="12 sprites; all 20 sprites and persons; 12 sprites and persons",
    )
    args = parser.parse_args()
    build_bank(args.folder, args.num_scenes, args.workers, WORLDS[args.world])


if __name__ == "__main__":
    main()
