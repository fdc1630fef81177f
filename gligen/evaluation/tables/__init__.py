"""The tables of the evaluation, a module each."""
