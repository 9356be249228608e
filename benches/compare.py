#!/usr/bin/env python3
"""Speed of ncaers beside PyTorch on the same machine, in turn, as a Markdown table.

    compare.py --ncaers target/release/ncaers [--python PYTHON] [--device cuda] [--threads 2] [--batches 32] [--models glamor] [--compile]
    compare.py --bench target/release/deps/models-HASH --part passes ...

Every round runs each tool once, a fresh process each, in turn; the median of the rounds counts. PyTorch runs eager in both memory
formats and, with --compile, through torch.compile; ratios are ncaers over PyTorch in images/s, and PyTorch over ncaers in CPU seconds.
PYTHON needs torch 2.11.0 and, for the one-picture networks, torchvision.
"""
import argparse, json, os, statistics, subprocess, sys

here = os.path.dirname(os.path.abspath(__file__))
parser = argparse.ArgumentParser()
parser.add_argument("--ncaers", default="target/release/ncaers"); parser.add_argument("--bench", default="target/release/deps/models")
parser.add_argument("--python", default=sys.executable); parser.add_argument("--part", default="step", choices=["step", "passes"])
parser.add_argument("--device", default="cpu"); parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--models", default="glamor"); parser.add_argument("--batches", default="32"); parser.add_argument("--precisions", default="fp32,bf16")
parser.add_argument("--layouts", default="contiguous,channels-last"); parser.add_argument("--compile", action="store_true")
parser.add_argument("--rounds", type=int, default=3); parser.add_argument("--steps", type=int, default=10); parser.add_argument("--json", help="append every measurement to this file")
args = parser.parse_args()


def run(tool, command):
    out = subprocess.run(command, capture_output=True, text=True)
    if out.returncode:
        print(f"{tool}: {(out.stderr.strip().splitlines() or ['no message'])[-1]}", file=sys.stderr)
        return None
    told = json.loads(out.stdout.strip().splitlines()[-1])
    if args.json:
        with open(args.json, "a") as file: file.write(json.dumps({"name": tool, "command": command[1:], **told}) + "\n")
    return told


def ours(model, batch, precision):
    common = ["--model", model, "--batch", batch, "--precision", precision, "--threads", str(args.threads)]
    if args.part == "passes": return [args.bench, *common, "--steps", str(max(1, args.steps // 5)), "--windows", "5", "--channels-last"]
    return [args.ncaers, "bench", "train", *common, "--steps", str(args.steps), "--device", args.device, "--json"]


def theirs(model, batch, precision):
    common = [args.python, f"{here}/peer.py", "--part", args.part, "--device", args.device, "--model", model, "--batch", batch, "--precision", precision, "--threads", str(args.threads), "--steps", str(args.steps)]
    tools = {f"eager {layout}": common + (["--channels-last"] if layout == "channels-last" else []) for layout in args.layouts.split(",")}
    if args.compile: tools["torch.compile"] = common + ["--channels-last", "--compile"]
    return tools


def median(results, key):
    found = [r[key] for r in results if r]
    return statistics.median(found) if found else float("nan")


cpu = args.device == "cpu"
print(f"{args.device}, {args.threads} threads, median of {args.rounds} rounds of {args.steps} steps; images/s" + (" (CPU s per step)" if cpu else " (ms per step)"))
first = True
for model in args.models.split(","):
    for batch in args.batches.split(","):
        for precision in args.precisions.split(","):
            tools = {"ncaers": ours(model, batch, precision), **theirs(model, batch, precision)}
            if first:
                heads = ["model", "batch", "format", *tools, *[f"ncaers : {name}" for name in list(tools)[1:]]]
                print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads)); first = False
            results = {name: [] for name in tools}
            for _ in range(args.rounds):
                for name, command in tools.items(): results[name].append(run(name, command))
            rate = {name: median(r, "images_per_s") for name, r in results.items()}
            second = {name: median(r, "cpu_s_per_step") if cpu else int(batch) / rate[name] * 1e3 for name, r in results.items()}
            cells = [f"{rate[name]:.1f} ({second[name]:.3f})" for name in tools]
            ratios = [f"{rate['ncaers'] / rate[name]:.2f}" + (f" (CPU {second[name] / second['ncaers']:.2f})" if cpu else "") for name in list(tools)[1:]]
            print("| " + " | ".join([model, batch, precision, *cells, *ratios]) + " |", flush=True)
