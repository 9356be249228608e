"""What detectors found in builds of the same frames, beside the truth: docs/measurements/mmod.md.

    pip install pyarrow
    ncaers demo-corpus --out corpus --seed 3 --clips-per-class 4
    for detector in boxes=corpus/truth-faces.csv seeta mmod; do
      ncaers build --corpus corpus --seed 1 --balance none --detector $detector --out ${detector%%=*}
    done
    ncaers build --corpus corpus --seed 1 --balance none --preset glamor-compat --out glamor
    python tests/tools/mmod_manifests.py boxes seeta mmod glamor

The first folder is the truth. Prints a Markdown table.
"""
import statistics
import sys

import pyarrow.parquet


def faces(folder):
    columns = ["clip_id", "frame_index", "face_x1", "face_y1", "face_x2", "face_y2", "face_count"]
    rows = pyarrow.parquet.read_table(f"{folder}/samples.parquet", columns=columns).to_pylist()
    box = lambda row: tuple(row[c] for c in columns[2:6]) if row["face_x1"] is not None else None
    return {(row["clip_id"], row["frame_index"]): (box(row), row["face_count"]) for row in rows}


def iou(a, b):
    area = lambda box: max(box[2] - box[0], 0) * max(box[3] - box[1], 0)
    shared = area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))
    return shared / (area(a) + area(b) - shared)


def main(truth, *folders):
    manifests = {folder: faces(folder) for folder in (truth, *folders)}
    frames = sorted(set.intersection(*(set(m) for m in manifests.values())))
    print(f"{len(frames)} frames in all manifests, {', '.join(f'{len(m)} in {f}' for f, m in manifests.items())}\n")
    print("| | " + " | ".join(folders) + " |\n|---" * 1 + "|---" * len(folders) + "|")
    rows = {name: [] for name in ("frames with a face", "no-face share", "frames with more than one face",
                                  "false boxes", "median IoU with the truth", "median width", "median IoU with the second")}
    for folder in folders:
        found = {f: manifests[folder][f][0] for f in frames if manifests[folder][f][0]}
        true = {f: iou(box, manifests[truth][f][0]) for f, box in found.items()}
        second = manifests[folders[1]]
        both = [iou(box, second[f][0]) for f, box in found.items() if second[f][0]]
        values = (len(found), f"{100 - 100 * len(found) / len(frames):.1f} %",
                  sum(manifests[folder][f][1] > 1 for f in frames), sum(v < 0.5 for v in true.values()),
                  f"{statistics.median(true.values()):.2f}", statistics.median(b[2] - b[0] for b in found.values()),
                  f"{statistics.median(both):.2f}")
        for row, value in zip(rows.values(), values):
            row.append(value)
    for name, values in rows.items():
        print(f"| {name} | " + " | ".join(map(str, values)) + " |")


if __name__ == "__main__":
    main(*sys.argv[1:])
