"""The sprites of the synthetic world, read from the committed atlas.

The atlas is a PNG with one 128 x 128 RGBA cell per sprite in reading order, six cells a row. It was
rendered once from Noto Color Emoji (OFL-1.1) by `python -m gligen.world.sprites FONT.ttf`; the font
is needed only to remake it.
"""

import argparse
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# Name of a sprite, as captions and phrases use it -> the emoji that draws it.
EMOJI = {
    "dog": "\N{DOG FACE}",
    "panda": "\N{PANDA FACE}",
    "frog": "\N{FROG FACE}",
    "pig": "\N{PIG FACE}",
    "apple": "\N{RED APPLE}",
    "banana": "\N{BANANA}",
    "donut": "\N{DOUGHNUT}",
    "sun": "\N{SUN WITH FACE}",
    "comet": "\N{COMET}\N{VARIATION SELECTOR-16}",
    "tree": "\N{DECIDUOUS TREE}",
    "house": "\N{HOUSE BUILDING}",
    "rocket": "\N{ROCKET}",
    "cat": "\N{CAT FACE}",
    "penguin": "\N{PENGUIN}",
    "cactus": "\N{CACTUS}",
    "mushroom": "\N{MUSHROOM}",
    "soccer ball": "\N{SOCCER BALL}",
    "whale": "\N{SPOUTING WHALE}",
    "racing car": "\N{RACING CAR}\N{VARIATION SELECTOR-16}",
    "sunflower": "\N{SUNFLOWER}",
}
ALL_SPRITE_NAMES = tuple(EMOJI)
# Those of the first world. What was trained on it depends on their number and order.
SPRITE_NAMES = ALL_SPRITE_NAMES[:12]

CELL = 128  # pixels, side of an atlas cell
COLUMNS = 6  # cells in an atlas row
_FONT_SIZE = 109  # the only size at which the bitmap font has glyphs


@lru_cache(maxsize=1)
def _atlas() -> Image.Image:
    with resources.files("gligen.world").joinpath("sprites.png").open("rb") as file:
        return Image.open(file).convert("RGBA")


@lru_cache(maxsize=len(EMOJI))
def load_sprite(name: str) -> Image.Image:
    """Return the sprite `name` as RGBA, trimmed to its visible pixels.

    Raises:
        ValueError: `name` is not one of `ALL_SPRITE_NAMES`.
    """
    if name not in EMOJI:
        raise ValueError(f"There is no sprite {name!r}; the sprites are: {', '.join(EMOJI)}.")
    row, column = divmod(ALL_SPRITE_NAMES.index(name), COLUMNS)
    cell = _atlas().crop(
        (column * CELL, row * CELL, (column + 1) * CELL, (row + 1) * CELL),
    )
    return cell.crop(cell.getchannel("A").getbbox())


@lru_cache(maxsize=20_000)
def resized_sprite(name: str, width: int, height: int) -> np.ndarray:
    """Return the sprite as float32 RGBA in [0, 1], shape (height, width, 4), straight alpha.

    Resizing is done on premultiplied colour, so that transparent pixels do not darken the edge.
    """
    rgba = np.asarray(load_sprite(name), np.float32) / 255
    premultiplied = np.concatenate([rgba[..., :3] * rgba[..., 3:], rgba[..., 3:]], axis=-1)
    planes = [
        np.asarray(
            Image.fromarray(premultiplied[..., c]).resize((width, height), Image.Resampling.BOX)
        )
        for c in range(4)
    ]
    resized = np.stack(planes, axis=-1)
    resized[..., :3] /= np.maximum(resized[..., 3:], 1e-3)
    return np.clip(resized, 0, 1)


def render_atlas(font_path: str | Path) -> Image.Image:
    """Draw every sprite with the colour font at `font_path` into a new atlas."""
    font = ImageFont.truetype(str(font_path), _FONT_SIZE)
    rows = -(-len(EMOJI) // COLUMNS)
    atlas = Image.new("RGBA", (COLUMNS * CELL, rows * CELL))
    for index, emoji in enumerate(EMOJI.values()):
        glyph = Image.new("RGBA", (2 * CELL, 2 * CELL))
        ImageDraw.Draw(glyph).text((CELL // 2, CELL // 2), emoji, font=font, embedded_color=True)
        glyph = glyph.crop(glyph.getchannel("A").getbbox())
        glyph.thumbnail((CELL, CELL), Image.Resampling.LANCZOS)
        row, column = divmod(index, COLUMNS)
        offset = ((CELL - glyph.width) // 2, (CELL - glyph.height) // 2)
        atlas.paste(glyph, (column * CELL + offset[0], row * CELL + offset[1]))
    return atlas


def main() -> None:
    """Remake the atlas beside this file."""
    parser = argparse.ArgumentParser(description="Render the sprite atlas from Noto Color Emoji.")
    parser.add_argument("font", help="path of NotoColorEmoji.ttf (Debian: fonts-noto-color-emoji)")
    font = parser.parse_args().font
    render_atlas(font).save(Path(__file__).with_name("sprites.png"), optimize=True)


if __name__ == "__main__":
    main()
