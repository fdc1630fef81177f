"""What the page says about what it remembers: history, files, links, autosave."""

TAB_TITLES = {
    "generate": "Generate",
    "inpaint": "Inpaint",
    "keypoints": "Keypoints",
    "maps": "Maps",
}

HISTORY_TITLE = "History"

# ---- recipes that are read back

TOO_LONG = "{what} has {length} characters; the limit is {limit}. Shorten it."
UNKNOWN_TAB = "The settings are for a tab {tab!r}, which is none of: {tabs}."
UNKNOWN_MAP = "There is no kind of map {kind!r}; there are {kinds}."
BEYOND_PAGE = "{what} is {value}; the page offers {low} to {high}. Use the command line for others."
UNKNOWN_REPAINT = "Repaint is {repaint!r}; it must be auto, boxes or mask."
BAD_PENDING = "The phrases without a box are {value!r}; they must be a list of texts."
STEPS, GUIDANCE, SAMPLES, FEATHER, SEED = (
    "The number of steps",
    "The guidance scale",
    "The number of samples",
    "The feather",
    "The seed",
)
PROMPT, NEGATIVE_PROMPT, PHRASE = "The prompt", "The negative prompt", "The name of box {number}"
NOT_LOADED = (
    "This belongs to the tab {title}, whose model is not loaded. Start the app with {way}, and try "
    "again."
)

# ---- files

NO_SUCH_FILE = "The file is no longer there; choose it again."
FILE_TOO_LONG = "The file has {size} bytes; a layout has at most {limit}. Choose another."
OTHER_PICTURES = (
    "Other pictures go elsewhere: a photo to repaint to the tab Inpaint, one to draw over to the "
    "button Background picture."
)
NOT_TEXT = (
    "The file is neither a PNG nor text; choose a picture made here, or a layout (JSON). "
    f"{OTHER_PICTURES}"
)
NO_LAYOUT = (
    "The file is text, but no layout: it does not begin as JSON does. Choose a layout (JSON) that "
    "was saved here or by another editor, or a PNG made here."
)
FILLED = "Loaded from the file: {what}."
FILLED_LAYOUT = "the layout; prompt and settings stay as they were"
FILLED_ALL = "layout, prompt and settings"
NO_PHOTO = "Choose the photo again: pictures are not part of it."
NO_MAP = "Choose the map again: pictures are not part of it."
NO_PICTURES = "Reference pictures and a style picture are not part of it; choose them again."

# ---- links and what the browser kept

LINK_TOO_LONG = (
    "The link is too long: {length} characters of settings, and at most {limit} are accepted. Ask "
    "for the layout as a file instead."
)
LINK_DAMAGED = "The link is damaged: its settings cannot be read. Copy it again, as a whole."
LINK_FAULT = "The link cannot be used. {error}"
LINK_FILLED = "Loaded from the link. Press the button above to make the picture."
RESTORED = "Restored what you had here before."
RESTORE_FAULT = "Not everything that your browser had kept here could be restored. {error}"
NO_DOCUMENT = "It is not an object."
AFRESH = "Started afresh. Finished pictures are still in the history."

# ---- history

LOADED = "Loaded from the history, with its seed."
GONE = "That picture is no longer in the history."
PHOTO_GONE = "The photo is no longer there; choose it again."
MASK_GONE = "The painted mask is not kept; paint it again."
DROPPED = "The history keeps {limit} pictures, at most {megabytes} MB: older ones were dropped."
SUMMARY = (
    "{count} of at most {limit} pictures, newest first. Nobody else sees them; an hour after you "
    "leave the page they are gone."
)
NO_PROMPT = "(no prompt)"
NO_NAME = "(no name)"
LINE = "{title} · seed {seed} · {width} x {height}"
FACT_NAMES = {
    "negative_prompt": "Negative prompt",
    "regions": "Boxes",
    "persons": "People",
    "map": "Kind of map",
    "tau": "Tau",
    "shares": "Full, decay, off",
    "guidance_scale": "Guidance",
    "num_inference_steps": "Steps",
    "sampler": "Sampler",
    "preset": "Preset",
    "model": "Model",
}

# For the scripts of the history.
HISTORY = {
    "empty": "Nothing here yet.\nEach picture that you make on another tab appears here, with "
    "everything that made it, until an hour after you leave.",
    "load": "Load back",
    "download": "Download",
    "delete": "Delete",
    "delete_all": "Delete all",
    "really_delete_all": "Really delete all?",
    "details": "Settings",
    "picture": "Picture with seed {seed}: {prompt}",
    "load_label": "Load back the picture with seed {seed}",
    "download_label": "Download the picture with seed {seed}",
    "delete_label": "Delete the picture with seed {seed}",
    "deleted": "Deleted.",
    "all_deleted": "All pictures were deleted.",
}

# For the scripts below the results of each tab.
KEEPER = {
    "title": "Save and share",
    "export": "Save layout",
    "import": "Load layout or picture",
    "link": "Copy link",
    "afresh": "Start afresh",
    "really_afresh": "Really clear this tab?",
    "help": "A layout file (JSON), or a PNG made here; it can be dropped here too. What stands on "
    "a tab, but for pictures, is kept in your browser and is here after a reload.",
    "file_label": "Layout file or picture with settings",
    "saved": "Saved as {name}. Pictures are not part of it.",
    "copied": "The link is in the clipboard. It holds layout, prompt and settings, not pictures.",
    "copy_this": "Copy this link; it holds layout, prompt and settings, not pictures.",
    "link_label": "Link to share",
    "link_too_long": "The link would have {length} characters, more than the {limit} that every "
    "program passes on. Save the layout and send the file instead.",
    "nothing": "There is nothing here yet: draw or write something first.",
    "file_too_big": "The file has {size} MB; the limit is {limit} MB.",
    "loading": "Loading...",
    "upload_failed": "The upload failed ({error}). Try again.",
}
