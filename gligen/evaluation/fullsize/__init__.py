"""Judging full-size models on layouts of COCO and LVIS: `python -m gligen evaluate coco`.

Layouts are chosen from annotation files (`layouts`), painted (`painting`), looked at by a detector
and by CLIP (`detectors`, `judging`), scored with the libraries that the field uses (`scores`), and
set beside published figures (`report`). `run` does one after the other, on any number of processes
(`processes`), and goes on where a run was cut.
"""
