"""The heading of the page, its model card and the names of the tabs."""

BROWSER_TITLE = "GLIGEN: pictures from boxes and words"
TITLE = "GLIGEN"
SENTENCE = (
    "Make a picture by laying it out: draw a box for each thing, say what it is, and the model "
    "paints it there."
)
GENERATE, INPAINT = "Generate", "Inpaint"
KEYPOINTS, MAPS, ABOUT = "Keypoints", "Maps", "About"
GENERATING = "Generating pictures"
INPAINTING = "Inpainting"
PLACING_PEOPLE = "Placing people"
PAINTING_FROM_MAPS = "Painting from a map"

# For the scripts of the heading; {name} and {device} are filled in there.
HEAD = {
    "model": "Model",
    "modelOn": "{name} on {device}",
    "dark": "Dark",
    "light": "Light",
    "toDark": "Change to dark colours",
    "toLight": "Change to light colours",
}
EXAMPLES = "Start with an example, or draw your own below"
EXAMPLE_LABEL = "Example: {title}"
NO_SUCH_EXAMPLE = "There is no example {index!r}; there are {count}, counted from 0."
