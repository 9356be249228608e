"""`ncaers audit` beside other tools on the same planted pictures: kind x tool.

    python benches/audit_peers.py FOLDER --ncaers target/release/ncaers [--half 1] [--work DIR]

FOLDER is as `audit_planted.py` makes it. Every tool looks every test picture of the half up among
all train pictures of the half; SIFT, which has no index, only among its own scene, and among three
others (its precision is over those). Peers, with the thresholds that they are used with:

    phash, dhash    imagehash, at most 10 of 64 bits
    PDQ 31, PDQ 70  pdqhash, at most 31 or 70 of 256 bits, the mirror image too
    SIFT            OpenCV: ratio test 0.75, RANSAC homography, at least 15 inliers, mirrored not

Printed: recall by kind, then false pairs, precision and CPU seconds (of one thread, reading
included). Needs imagehash, pdqhash, opencv-python-headless and numpy.
"""
import argparse
import csv
import os
import resource
import subprocess
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
import cv2
import imagehash
import numpy as np
import pdqhash
from PIL import Image

cv2.setNumThreads(1)


def rows_of(folder, half):
    paths = {str(p.relative_to(folder / "stills").with_suffix("")): p
             for p in (folder / "stills").rglob("*.*")}
    rows = list(csv.DictReader(open(folder / "stills.csv")))
    rows = [r for r in rows if half is None or int(r["half"]) == half]
    for r in rows:
        r["path"] = paths[r["id"]]
    return rows


def by_distance(rows, hashed, most):
    """Pairs whose hashes, `[n, bits]` and mirrored, are near."""
    test = [r for r in rows if r["id"].startswith("test")]
    train = [r for r in rows if r["id"].startswith("train")]
    own = {r["id"]: hashed(r["path"]) for r in rows}
    there = np.stack([own[r["id"]][0] for r in train])
    found = set()
    for r in test:
        for h in own[r["id"]]:
            near = (there != h).sum(1) <= most
            found |= {(r["id"], train[i]["id"]) for i in np.flatnonzero(near)}
    return found


def image_hash(function):
    return lambda path: [function(Image.open(path)).hash.ravel()]


def pdq(path):
    rgb = np.ascontiguousarray(np.asarray(Image.open(path).convert("RGB")))
    all_ways, _ = pdqhash.compute_dihedral(rgb)
    return [all_ways[0], all_ways[5]]


def sift(rows):
    finder, matcher = cv2.SIFT_create(nfeatures=1000), cv2.BFMatcher()
    seen = {r["id"]: finder.detectAndCompute(cv2.imread(str(r["path"]), 0), None) for r in rows}
    train = [r for r in rows if r["id"].startswith("train")]
    rng = np.random.default_rng(1)
    found = set()
    for r in rows:
        if not r["id"].startswith("test"):
            continue
        own = [t for t in train if t["scene"] == r["scene"]]
        others = [t for t in train if t["scene"] != r["scene"]]
        own += [others[i] for i in rng.choice(len(others), 3, replace=False)]
        points, words = seen[r["id"]]
        for t in own:
            its_points, its_words = seen[t["id"]]
            if words is None or its_words is None or len(its_words) < 2:
                continue
            best = [m for m in matcher.knnMatch(words, its_words, k=2) if len(m) == 2]
            good = [a for a, b in best if a.distance < 0.75 * b.distance]
            if len(good) < 15:
                continue
            here = np.float32([points[m.queryIdx].pt for m in good])
            there = np.float32([its_points[m.trainIdx].pt for m in good])
            _, mask = cv2.findHomography(here, there, cv2.RANSAC, 5.0)
            if mask is not None and mask.sum() >= 15:
                found.add((r["id"], t["id"]))
    return found


def ncaers(program, rows, work):
    root = Path(work) / "root"
    for r in rows:
        link = root / r["path"].relative_to(r["path"].parents[2])
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(r["path"].resolve())
    out = Path(work) / "audit"
    subprocess.run([program, "audit", "--root", root, "--out", out], check=True,
                   stdout=subprocess.DEVNULL)
    pairs = csv.DictReader(open(out / "pairs.csv"))
    return {(r["sample_id"], r["partner_id"]) for r in pairs}


def cpu():
    own, children = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(u.ru_utime + u.ru_stime for u in (own, children))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ncaers", type=Path, required=True)
    parser.add_argument("--half", type=int)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--no-sift", action="store_true")
    args = parser.parse_args()
    rows = rows_of(args.folder, args.half)
    work = args.work or Path(tempfile.mkdtemp())
    tools = {
        "ncaers": lambda: ncaers(args.ncaers.resolve(), rows, work),
        "phash": lambda: by_distance(rows, image_hash(imagehash.phash), 10),
        "dhash": lambda: by_distance(rows, image_hash(imagehash.dhash), 10),
        "PDQ 31": lambda: by_distance(rows, pdq, 31),
        "PDQ 70": lambda: by_distance(rows, pdq, 70),
        "SIFT": lambda: sift(rows),
    }
    if args.no_sift:
        del tools["SIFT"]
    found, seconds = {}, {}
    for name, run in tools.items():
        start = cpu()
        found[name] = run()
        seconds[name] = cpu() - start
        print(f"{name}: {time.strftime('%H:%M:%S')}", flush=True)
    copies = [(r["kind"], (r["id"], r["origin"])) for r in rows if r["origin"]]
    true = {pair for _, pair in copies}
    kinds = list(dict.fromkeys(kind for kind, _ in copies))
    print("\n| kind | copies | " + " | ".join(tools) + " |")
    print("| --- | --: |" + " --: |" * len(tools))
    for kind in kinds:
        own = [pair for k, pair in copies if k == kind]
        cells = [f"{sum(pair in found[t] for pair in own) / len(own):.3f}" for t in tools]
        print(f"| {kind} | {len(own)} | " + " | ".join(cells) + " |")
    cells = [f"{len(found[t] & true) / len(true):.3f}" for t in tools]
    print(f"| **all kinds** | {len(true)} | " + " | ".join(cells) + " |")
    scene = {r["id"]: r["scene"] for r in rows}
    test = [r for r in rows if r["id"].startswith("test")]
    train = [r for r in rows if r["id"].startswith("train")]
    hard = sum(r["scene"] == t["scene"] and r["origin"] != t["id"] for r in test for t in train)
    pairs = len(test) * len(train) - len(true)
    for name, only in [(f"false of {hard} hard pairs", True), (f"false of {pairs - hard} others", False)]:
        wrong = [sum((scene[a] == scene[b]) == only for a, b in found[t] - true) for t in tools]
        print(f"| {name} | | " + " | ".join(map(str, wrong)) + " |")
    cells = [f"{len(found[t] & true) / max(1, len(found[t])):.4f}" for t in tools]
    print("| precision | | " + " | ".join(cells) + " |")
    print("| CPU s | | " + " | ".join(f"{seconds[t]:.1f}" for t in tools) + " |")


if __name__ == "__main__":
    main()
