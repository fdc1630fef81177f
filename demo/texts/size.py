"""What the fields for the size of the picture say. Words in braces are filled in."""

TITLE = "Size of the picture"
WIDTH = "Width"
HEIGHT = "Height"
HELP = (
    "Pixels, multiples of {step}. The model was trained at {width} x {height}: at other sizes "
    "things may repeat or lose their shape. The canvas follows."
)
TOO_LARGE = (
    "The picture would have {width} x {height} pixels, more than {most} times what the model was "
    "trained at ({trained_width} x {trained_height}). Choose a smaller width or height."
)
EMPTY = "The field {name} is empty; give it a number of pixels."
