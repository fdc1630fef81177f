"""Training of the embedded model: autoencoder, base (stage 1), grounding (stage 2)."""
