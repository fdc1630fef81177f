"""The perceptron that ends every tokenizer."""

from torch import nn

HIDDEN_WIDTH = 512  # in every released model


def make_mlp(in_width: int, token_width: int) -> nn.Sequential:
    """Build three linear layers with SiLU between them; parameter names are the original's."""
    return nn.Sequential(
        nn.Linear(in_width, HIDDEN_WIDTH),
        nn.SiLU(),
        nn.Linear(HIDDEN_WIDTH, HIDDEN_WIDTH),
        nn.SiLU(),
        nn.Linear(HIDDEN_WIDTH, token_width),
    )
