"""What the drawing canvas says. Words in braces are filled in on the page."""

# Labels, tooltips and accessible names of the tools.
TOOLS = {
    "toolbar": "Drawing tools",
    "modes": "Drawing mode",
    "box": "Box",
    "box_title": "Drag a rectangle (B)",
    "scribble": "Scribble",
    "scribble_title": "Draw freehand; the stroke becomes its bounding box (S)",
    "mask": "Mask brush",
    "mask_title": "Paint exactly what may be repainted (M)",
    "erase": "Eraser",
    "erase_title": "Take paint away from the mask (E)",
    "brush": "Brush",
    "brush_name": "Brush size in percent of the picture",
    "editing": "Editing",
    "add": "Add box",
    "add_title": "Add a box without drawing",
    "duplicate": "Duplicate",
    "duplicate_title": "Copy the selected box (Ctrl+D)",
    "remove": "Delete",
    "remove_title": "Delete the selected box (Delete)",
    "undo": "Undo",
    "undo_title": "Undo (Ctrl+Z)",
    "redo": "Redo",
    "redo_title": "Redo (Ctrl+Y)",
    "clear": "Clear",
    "clear_title": "Remove all boxes and the painted mask",
    "zoom": "Zoom",
    "zoom_out": "Zoom out",
    "zoom_out_title": "Zoom out (-)",
    "zoom_in": "Zoom in",
    "zoom_in_title": "Zoom in (+)",
    "zoom_fit": "Zoom to fit, now {percent} %",
    "zoom_fit_title": "Show the whole picture (0)",
    "backdrop": "Background picture",
    "backdrop_title": "Show a picture to draw over; the model does not see it",
    "backdrop_none": "Remove background",
    "backdrop_note": "The background picture is only to draw over: it stays on this page, "
    "and the model does not see it.",
}

# The drawing area and what lies on it.
STAGE = {
    "stage": "Drawing area. Drag to add a box, drag a box to move it. With the keyboard: Page Up "
    "and Page Down choose a box, arrow keys move it, Shift makes larger steps, Ctrl and arrow keys "
    "resize it, Enter or a letter names it, Delete removes it.",
    "photo_alt": "The photo to repaint",
    "empty": "Drag a box for each thing, then name it.",
    "choose_photo": "Choose a photo",
    "choose_photo_how": "or drop or paste one here (JPEG, PNG, WebP; up to 20 MB and 40 "
    "megapixels)",
    "photo_input": "Photo to repaint",
    "replace_photo": "Another photo",
    "remove_photo": "Remove photo",
    "clear_mask": "Clear mask",
    "tag_placeholder": "name it",
    "tag_name": "Name of box {number} on the canvas",
    "instruction": "Grounding instruction (separated by semicolons)",
    "instruction_placeholder": "sun; comet",
}

# The list of boxes.
ROWS = {
    "list": "Boxes",
    "no_boxes": "No boxes yet",
    "one_box": "1 box",
    "many_boxes": "{count} boxes",
    "next_phrase": "{count}, next: {phrase}",
    "row_placeholder": "what goes here",
    "row_name": "Name of box {number}",
    "grip": "Reorder box {number}: drag, or press the up and down arrow keys",
    "grip_title": "Drag to reorder",
    "hide": "Hide box {number}",
    "show": "Show box {number}",
    "hide_title": "Leave this box out of the picture",
    "show_title": "Put this box back into the picture",
    "colour": "Colour of box {number}",
    "colour_title": "Choose the colour of this box",
    "move_up": "Move box {number} up",
    "move_up_title": "Move up (Alt+Up)",
    "move_down": "Move box {number} down",
    "move_down_title": "Move down (Alt+Down)",
    "copy": "Duplicate box {number}",
    "copy_title": "Duplicate this box",
    "bin": "Delete box {number}",
    "bin_title": "Delete this box",
    "picture": "Picture for box {number}",
    "picture_title": "Show by a picture what goes into this box: choose, paste or drop one here",
    "picture_alt": "Picture of box {number}",
    "no_picture": "Take the picture of box {number} away",
    "no_picture_title": "Take the picture away",
}

# Sentences below the drawing area.
HINTS = {
    "hint_box": "Drag a rectangle, or drag a box to move it. Boxes snap to each other and to the "
    "frame; hold Alt to move freely, Shift to draw over a box.",
    "hint_scribble": "Draw freehand; the stroke becomes the box around it.",
    "hint_mask": "Paint what may be repainted. Everything else stays as it is. Keyboard: arrow "
    "keys move the brush, the space bar puts it down and lifts it.",
    "hint_erase": "Rub out paint of the mask.",
    "full": "There are already {most} boxes, as many as the model has slots for. Delete one first.",
    "too_small": "That was too small to be a box, so nothing was added. Drag at least 8 pixels in "
    "both directions.",
    "added": "Added a box. Arrow keys move it, Ctrl and arrow keys resize it, Enter names it.",
    "named": "Box {number} is {phrase}.",
    "name_it": "Type what goes into box {number}.",
    "where": "Box {number} of {count}{phrase}: {left} % from the left, {top} % from the top, "
    "{width} % wide, {height} % high.",
    "moved_to": "Box moved to place {number} of {count}.",
    "draw_one": "Draw a box for: {phrases}.",
    "draw_many": "Draw {count} boxes for: {phrases}.",
    "uploading_picture": "Uploading the picture...",
    "has_picture": "Box {number} shows what is on the picture; a name may be added.",
    "uploading_photo": "Uploading the photo...",
    "has_photo": "Photo of {width} x {height} pixels. Draw a box or paint a mask where it may "
    "change.",
    "brush_down": "The brush is down: arrow keys paint, the space bar lifts it.",
    "brush_up": "The brush is lifted.",
}

WORDS = {**TOOLS, **STAGE, **ROWS, **HINTS}
