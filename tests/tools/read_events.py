#!/usr/bin/env python3
"""Reads the event file of a run folder with TensorBoard's own reader and compares every value with metrics.csv.

    read_events.py RUN_DIR          (needs the package `tensorboard`; TensorFlow is not needed)

Prints the tags with their number of points, and fails on a value that differs or is missing.
"""
import csv, math, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

folder = sys.argv[1]
events = EventAccumulator(folder, size_guidance={"scalars": 0})
events.Reload()
tags = events.Tags()["scalars"]
found = {(tag, event.step): event.value for tag in tags for event in events.Scalars(tag)}
wanted = {}
for row in csv.DictReader(open(f"{folder}/metrics.csv")):
    for key, value in row.items():
        if key not in ("stage", "epoch", "seconds") and value:
            wanted[f"{row['stage']}/{key}", int(row["epoch"])] = float(value)
for tag in tags: print(f"{tag}: {len(events.Scalars(tag))} points")
wrong = [place for place in wanted if place not in found or not math.isclose(found[place], wanted[place], rel_tol=1e-6)]
extra = set(found) - set(wanted)
if wrong or extra: sys.exit(f"differ: {wrong[:5]}, not in metrics.csv: {sorted(extra)[:5]}")
print(f"{len(wanted)} values as in metrics.csv")
