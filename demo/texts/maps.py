"""The tab Maps: kinds of maps, the painter of classes, and the preview."""

PROMPT = "What the whole picture shows."
PLACEHOLDER = (
    "1. Choose an example, a map or a photo, or paint the map.\n"
    "2. Write a prompt and press Generate. The picture appears here."
)
KIND = "Kind of map"
OWN_CLASSES = "semantic map of this model's {count} classes"
MAP = "Map"
CHOOSE_MAP = "Choose a map"
FROM_PHOTO = "Or take the edges of a photo"
CHOOSE_PHOTO = "Choose a photo"
LOWER = "Lower threshold"
LOWER_INFO = "Edges this strong count where they continue a strong one"
UPPER = "Upper threshold"
UPPER_INFO = "Edges stronger than this always count"

# What a map of each kind looks like, for the person who has to find one.
HINTS = {
    "hed": "Soft edges, as a HED detector finds them: white on black.",
    "canny": "Thin edges, white on black; or take the edges of a photo.",
    "depth": "Grey: near is white, far is black.",
    "normal": "Directions of surfaces as red (x), green (y) and blue (z).",
    "semantic": "Labels of ADE20K's classes (grey or palette, 0 to 151), or the classes' colours.",
}
OWN_LABELS = "Labels of this model's own classes (grey or palette, 0 to {last})."
SQUEEZED = (
    "The map is {map_width} x {map_height} and is squeezed to the picture's {width} x {height}; "
    "cut it to that shape if things should keep theirs."
)
NO_MAP = "There is no {kind} map yet; {way}."
WAYS = {
    "canny": "choose one, or a photo to take the edges of",
    "semantic": "paint one, or choose a file",
}
USUAL_WAY = "choose one"

PREVIEW = {
    "caption": "What the model reads",
    "alt": "The map as the model reads it",
    "empty": "No map yet",
}

UNKNOWN_LABEL = "label {label}, unknown to this model"
UNKNOWN_LABELS = "This model does not know the labels {labels} of the map."
TITLE_OF_FAULT = "The painted map cannot be used"
PAINTER = {
    "toolbar": "Tools for the map",
    "mode": "What a press does",
    "brush": "Brush",
    "brushTitle": "Paint with the chosen class",
    "fill": "Fill",
    "fillTitle": "Give a whole patch the chosen class",
    "size": "Size",
    "sizeLabel": "Brush size in percent of the picture",
    "undo": "Undo",
    "undoTitle": "Undo (Ctrl+Z)",
    "redo": "Redo",
    "redoTitle": "Redo (Ctrl+Y)",
    "clear": "Clear",
    "clearTitle": "Take all paint away",
    "stage": (
        "Map to paint. Arrow keys move the cursor, with Shift faster. Space paints, F fills, "
        "brackets change the size of the brush, Control and Z undoes."
    ),
    "empty": "Choose a class, then paint where it goes. Or load a map below.",
    "classes": "Classes",
    "find": "Find a class",
    "noneFound": "No class has this in its name.",
    "painting": "Painting: {name}",
    "contents": "In the map: {list}.",
    "little": "under 1 %",
    "share": "{percent} %",
    "cursor": "Cursor at {x} %, {y} %, on {name}.",
}
