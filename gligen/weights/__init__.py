"""Files of weights: what they are, how they are read, converted and put onto a base."""
