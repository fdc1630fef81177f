"""Evaluating the models with fewer operations and the same result, one switch for each saving."""
