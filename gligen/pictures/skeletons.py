"""Drawing persons for people: bones and joints, left and right told apart by colour."""

from collections.abc import Sequence

from PIL import Image, ImageDraw

from gligen.person import BONES, JOINTS, Person

Colour = tuple[int, int, int]

# Sides are the person's own. What joins the two sides, or belongs to neither, has its own colour.
LEFT_COLOUR: Colour = (29, 120, 214)
RIGHT_COLOUR: Colour = (240, 140, 0)
MIDDLE_COLOUR: Colour = (34, 160, 75)
HALO: Colour = (255, 255, 255)  # around lines and joints, so that they show on any picture


def draw_persons(image: Image.Image, persons: Sequence[Person]) -> Image.Image:
    """Return an RGB copy of `image` with the bones between visible joints, and the joints."""
    overlay = image.convert("RGB")
    draw = ImageDraw.Draw(overlay)
    width, height = overlay.size
    line = max(1, round(min(width, height) / 128))

    for person in persons:
        joints = {
            index: (point[0] * (width - 1), point[1] * (height - 1))
            for index, point in enumerate(person.keypoints)
            if point is not None
        }
        bones = [(a, b) for a, b in BONES if a in joints and b in joints]
        for a, b in bones:
            draw.line((joints[a], joints[b]), fill=HALO, width=line + 2)
        for a, b in bones:
            draw.line((joints[a], joints[b]), fill=bone_colour(a, b), width=line)
        for index, joint in joints.items():
            draw.circle(joint, line + 1, fill=bone_colour(index, index), outline=HALO)
    return overlay


def bone_colour(start: int, end: int) -> Colour:
    """Return the colour of the bone between two joints (indices into JOINTS), or of one joint."""
    sides = {JOINTS[index].split()[0] for index in (start, end)} & {"left", "right"}
    if sides == {"left"}:
        return LEFT_COLOUR
    return RIGHT_COLOUR if sides == {"right"} else MIDDLE_COLOUR
