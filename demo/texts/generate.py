"""The tab Generate."""

PLACEHOLDER = (
    "1. Choose an example, or drag a box for each thing.\n"
    "2. Write into each box what it holds.\n"
    "3. Press Generate. The picture appears here."
)
