"""Page parts of our own, each a `gr.HTML` with a static template and its own script."""
