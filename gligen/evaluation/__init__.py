"""Judging whether generated pictures obey their boxes, without any pretrained network.

`python -m gligen.evaluation` generates held-out layouts with grounding on, off and with mirrored
boxes, looks for the named objects with a detector of the synthetic world's sprites, and reports how
many are where they were asked for.
"""
