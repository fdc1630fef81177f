"""What a model with a small vocabulary can paint."""

NAMES = "This small model can paint: {names}."
BOX = 'box {number} ("{phrase}")'
UNKNOWN = (
    "Never learned: {boxes}. What came out there is a guess. Use one of the names that stand below "
    "the canvas, or start the app with --model official for other things."
)
