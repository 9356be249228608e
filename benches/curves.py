#!/usr/bin/env python3
"""Accuracy curves of fp32 and bf16 on a real pack, compared within the noise of the seeds.

    curves.py EXPERIMENT.toml --ncaers target/release/ncaers --out FOLDER [--seeds 3] [--device cpu] [-- --set KEY=VALUE ...]

Trains every seed in both formats (the joint stage's validation accuracy counts, epoch by epoch) and prints the means, their difference and
twice its standard error over the seeds. Exits 1 when the mean over the last quarter of the epochs differs by more than
that.
"""
import argparse, csv, os, statistics, subprocess, sys

parser = argparse.ArgumentParser()
parser.add_argument("experiment"); parser.add_argument("--ncaers", default="target/release/ncaers"); parser.add_argument("--out", required=True)
parser.add_argument("--seeds", type=int, default=3); parser.add_argument("--device", default="auto")
at = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
args, more = parser.parse_args(sys.argv[1:at]), sys.argv[at + 1:]  # behind --: words for `ncaers train`
formats = ["fp32", "bf16"]


def curve(precision, seed):
    """Validation accuracy of every joint epoch."""
    folder = os.path.join(args.out, f"{precision}-{seed}")
    subprocess.run([args.ncaers, "train", args.experiment, "--out", folder, "--resume", "--seed", str(seed), "--set", f"train.precision={precision}", "--set", f"train.device={args.device}", *more], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(os.path.join(folder, "metrics.csv")) as file:
        return [float(row["val_accuracy"]) for row in csv.DictReader(file) if row["stage"] == "joint"]


curves = {precision: [curve(precision, seed) for seed in range(1, args.seeds + 1)] for precision in formats}
epochs = min(len(c) for both in curves.values() for c in both)


def compared(at):
    """Means of both formats over the epochs `at`, their difference and twice its standard error."""
    ends = [[statistics.mean(c[e] for e in at) for c in curves[precision]] for precision in formats]
    means = [statistics.mean(v) for v in ends]
    noise = 2 * sum(statistics.variance(v) / len(v) for v in ends) ** 0.5 if args.seeds > 1 else float("nan")
    return *means, means[1] - means[0], noise


print(f"{args.seeds} seeds, {args.device}; validation accuracy of the joint stage, %\n\n| epoch | fp32 | bf16 | bf16 - fp32 | 2 standard errors |\n|" + "---|" * 5)
percent = lambda values: " | ".join(f"{100 * v:.1f}" for v in values)
shown = sorted({round(i * (epochs - 1) / 7) for i in range(8)})
for epoch in shown: print(f"| {epoch + 1} | {percent(compared([epoch]))} |")
last = range(epochs - max(1, epochs // 4), epochs)
*_, difference, noise = compared(last)
print(f"| last {len(last)} | {percent(compared(last))} |")
agree = abs(difference) <= noise
print(f"\nover the last {len(last)} of {epochs} epochs bf16 differs by {100 * difference:+.2f} points, seed noise {100 * noise:.2f}: {'equal within it' if agree else 'NOT equal within it'}")
sys.exit(0 if agree else 1)
