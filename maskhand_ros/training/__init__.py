"""Data engine, training loops, conversion and evaluation: needs the extra `train`, never imported at run
time."""
