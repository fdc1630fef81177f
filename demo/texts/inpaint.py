"""What the tab Inpaint says."""

PLACEHOLDER = "Choose a photo, mark what may change, press Inpaint.\nThe result appears here."
NATIVE_SIZE = (
    "The photo keeps its size. A part around the holes is cut out, painted at the model's "
    "{width} x {height} pixels and put back: one small hole after the other comes out sharper than "
    "all at once."
)
REPAINT = "Repaint"
REPAINT_INFO = "Automatic: the painted mask if there is one, else the boxes"
REPAINT_CHOICES = [
    ("automatic", "auto"),
    ("boxes", "boxes"),
    ("painted mask", "mask"),
]
FEATHER = "Feather"
FEATHER_INFO = "How many pixels of the photo the edge of a hole takes to fade in; 0 is a hard edge"
REUSED = "The result is the photo now, pixel for pixel. Mark the next hole."
