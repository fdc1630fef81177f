"""One module per tab; each builds its components, wires its events and returns the components."""
