"""The colours of the boxes, the same on the canvas, over results and in saved overlays."""

from gligen.pictures.images import REGION_COLOURS

TINTS = [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in REGION_COLOURS]
