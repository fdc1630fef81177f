"""The web page: canvas, tabs and what their buttons do, on top of the library `gligen`."""
