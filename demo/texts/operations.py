"""Sentences about waiting, limits, faults and the end of the app."""

WAITING = "Waiting for the model..."
NEXT = "Waiting: one run is before yours{about}."
IN_LINE = "Waiting: {ahead} runs are before yours{about}."
ABOUT = ", about {time} left"
STARTING = "Starting..."
SECONDS = "{seconds} s"
MINUTES = "{minutes} min {seconds} s"

STOP = "Stop"
STOPPING = "Stopping..."
STOPPED_WAITING = "Stopped before it began."
STOPPED = "Stopped after step {step} of {num_steps}."
REPLACED = "Not made: you started another picture while this one was waiting."

LINE_IS_FULL = (
    "The picture was not made: the line for the model is full ({waiting} waiting). "
    "Try again {when}."
)
TOO_MANY = (
    "The picture was not made: you asked for {count} in the last minute, which is all that one "
    "person may here. Try again in {seconds} s."
)
IN_SECONDS = "in about {seconds} s"
IN_A_MOMENT = "in a moment"
CLOSING = "The picture was not made: the app is being shut down. Try again when it is back."
CUT_OFF = "Stopped after step {step} of {num_steps}: the app is being shut down."
CALLER_LEFT = "The call was cancelled, because its session ended."
OUT_OF_MEMORY = (
    "The picture was not made: the device has too little memory for it. Ask for a smaller picture, "
    "or for fewer samples at once."
)
BROKEN = (
    "The picture was not made: something went wrong inside the app (its terminal shows what). The "
    "page goes on working: try again in a moment."
)
LOST = (
    "The picture was not made. If no other message says why, the app did not answer: wait a moment "
    "and press again; if that does not help, reload the page."
)
WITHHELD = "The safety checker took this picture for unsafe and painted it black."
SOME_WITHHELD = (
    "The safety checker took {count} of the {total} pictures for unsafe and painted them black."
)

BUDGET_FOR_ONE = (
    "The {kinds} kinds that are loaded do not fit into --device-budget together, and only one kind "
    "can be kept in main memory. Load one (--load-... False for the others), or allow more. "
    "{reason}"
)
CANNOT_LOAD = "The model could not be loaded: {reason}"
PAGE_IS_AT = "The page is at {address}"
PUBLIC_LINK = "Public link, for anyone who knows it: {address}"
NO_PUBLIC_LINK = "No public link could be made; the page is served on this machine only."
CANNOT_SERVE = (
    "The page cannot be served at {where}: the port is taken, or this machine does not have the "
    "address. Choose another with --server-port or --server-name."
)
MCP_IS_AT = "Programs that speak MCP find it at {address}gradio_api/mcp/"
MCP_IS_MISSING = (
    "The MCP server needs a package that is not installed: run pip install 'gradio[mcp]', or leave "
    "--mcp out."
)
MCP_FAILED = (
    "The MCP server could not be started ({reason}); pip install 'gradio[mcp]' brings the versions "
    "that fit, or leave --mcp out."
)
FOLDER_IS_BAD = (
    "Pictures cannot be kept in {folder!r} ({reason}); name a folder that can be written to with "
    "--output-folder, or leave it out."
)
NO_CHECKER = (
    "The safety checker of the official models could not be had: {error} Start with "
    "--no-safety-checker to do without it: pictures are then shown whatever is on them."
)
CHECKER_IS_ON = "The safety checker is on: pictures that it takes for unsafe come out black."
CHECKER_IS_OFF = "The safety checker is off (--no-safety-checker): pictures are shown unchecked."

NO_BOX = "There is neither a prompt nor a box; write what to paint, or draw a box and name it."
NO_PERSON = "There is neither a prompt nor a person; press Add person, or write what to paint."
NO_NAME = "Box {number} has no name; say what to paint there, or delete the box."
THE_PROMPT = "The prompt"
THE_NEGATIVE_PROMPT = "The negative prompt"
THE_LABEL = "The name of box {number}"
A_PENDING_LABEL = "A name without a box"
TOO_LONG = "{what} has {length} characters; the limit is {most}. Shorten it."
NO_TEXT = (
    "{what} holds something that is no text, at character {position} ({code}); remove it, or write "
    "it anew."
)
