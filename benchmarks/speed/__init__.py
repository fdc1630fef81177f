"""How fast pictures are made here, in diffusers and in the authors' loop, on the same weights."""
