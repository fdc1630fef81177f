"""What stands in a tab whose model is not loaded."""

TITLE = "{what} is not loaded"
NOT_STARTED = "The app was started without the model for it. Start it again like this:"
NOT_HELD = (
    "The model in use does not hold it. Start the app with one that does, for example like this:"
)
COMMAND = "python app.py {way}"
ANY_FLAG = "Any of these flags brings this tab. The other tabs work as usual."
OTHERS_WORK = "The other tabs work as usual."
