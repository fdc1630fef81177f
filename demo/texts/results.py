"""What stands around finished pictures."""

# How large a picture is, and that it is not shown at that size.
ENLARGED = (
    "The model paints {width} x {height} pixels. Pictures are shown enlarged and smoothed; the "
    "download has the original size."
)
REDUCED = (
    "The picture has {width} x {height} pixels and is shown smaller; the download has its full "
    "size."
)
SEED = "Seed {seed}"
NO_SUCH_RESULT = (
    "There is no result {index!r} to go on with; there are {count}, counted from 0. Press Use as "
    "input below a result."
)

# What the scripts of the page say; they get this as it is.
VIEW = {
    "boxes": "Show the boxes",
    "joints": "Show the people's joints",
    "size": "{width} x {height} pixels",
    "size_enlarged": "{width} x {height} pixels, shown enlarged",
    "size_reduced": "{width} x {height} pixels, shown smaller",
    "enlarge": "Enlarge",
    "enlarge_named": "Enlarge: {caption}",
    "download": "Download PNG",
    "download_short": "PNG",
    "download_named": "Download as PNG: {caption}",
    "reuse": "Use as input",
    "reuse_hint": "Puts this picture onto the canvas as the photo, as it is, for another round",
    "reuse_named": "Use as input: {caption}",
    "sheet": "Download all as one picture",
    "waiting": "Not made yet",
    "before": "Before",
    "after": "After",
    "slider": "Before and after: {caption}",
    "slider_value": "{share} % of the width shows the photo before",
    "close": "Close",
    "earlier": "Previous picture",
    "later": "Next picture",
    "position": "{index} of {count}",
    "lightbox": "The picture enlarged",
}
