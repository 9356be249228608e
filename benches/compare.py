#!/usr/bin/env python3
"""Speed of ncaers beside PyTorch on the same machine, in turn, as a Markdown table.

    compare.py --ncaers target/release/ncaers [--python PYTHON] [--device cuda] [--threads 2] [--batches 32] [--models glamor] [--compile default,reduce-overhead]
    compare.py --bench target/release/deps/models-HASH --part passes ...

Every round runs each tool once, a fresh process each, in turn; the median of the rounds counts. PyTorch runs eager in both memory
formats and, with --compile, through torch.compile in every mode named; a tool that fails, or does not compile in time, gets a row that
says so, and so does what does not fit into --budget seconds. Ratios are
ncaers over the tool in images/s, and the tool over ncaers in CPU seconds. PYTHON needs torch 2.11.0 and, for the one-picture networks,
torchvision.
"""
import argparse, json, os, signal, statistics, subprocess, sys, time

here = os.path.dirname(os.path.abspath(__file__))
parser = argparse.ArgumentParser()
parser.add_argument("--ncaers", default="target/release/ncaers"); parser.add_argument("--bench", default="target/release/deps/models")
parser.add_argument("--python", default=sys.executable); parser.add_argument("--part", default="step", choices=["step", "passes"])
parser.add_argument("--device", default="cpu"); parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--models", default="glamor"); parser.add_argument("--batches", default="32"); parser.add_argument("--precisions", default="fp32,bf16")
parser.add_argument("--layouts", default="contiguous,channels-last"); parser.add_argument("--compile", default="", help="modes of torch.compile: default,reduce-overhead,max-autotune")
parser.add_argument("--compile-limit", type=int, default=600, help="seconds that torch.compile may take, warm-up and steps included")
parser.add_argument("--budget", type=float, default=float("inf"), help="seconds for everything; what is left over then is not run")
parser.add_argument("--rounds", type=int, default=3); parser.add_argument("--steps", type=int, default=10); parser.add_argument("--json", help="append every measurement to this file")
args = parser.parse_args()
begun = time.monotonic()
left = lambda: args.budget - (time.monotonic() - begun)


def run(tool, command):
    """What the command measured, or why it did not, as a string."""
    if left() < 10: return "not run: the time is up"
    limit = min(args.compile_limit if "--compile" in command else left(), left())
    limit = None if limit == float("inf") else limit
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        out, error = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # with the compilers that it started
        process.communicate()
        return f"did not {'compile' if '--compile' in command else 'end'} within {limit:.0f} s"
    if process.returncode:
        return "failed: " + (error.strip().splitlines() or ["no message"])[-1][:120].replace("|", "/")
    told = json.loads(out.strip().splitlines()[-1])
    if args.json:
        with open(args.json, "a") as file: file.write(json.dumps({"name": tool, "command": command[1:], **told}) + "\n")
    return told


def ours(model, batch, precision):
    common = ["--model", model, "--batch", batch, "--precision", precision, "--threads", str(args.threads)]
    if args.part == "passes": return [args.bench, *common, "--steps", str(max(1, args.steps // 5)), "--windows", "5", "--channels-last"]
    return [args.ncaers, "bench", "train", *common, "--steps", str(args.steps), "--device", args.device, "--json"]


def theirs(model, batch, precision):
    common = [args.python, f"{here}/peer.py", "--part", args.part, "--device", args.device, "--model", model, "--batch", batch, "--precision", precision, "--threads", str(args.threads), "--steps", str(args.steps)]
    tools = {f"PyTorch eager, {layout}": common + (["--channels-last"] if layout == "channels-last" else []) for layout in args.layouts.split(",")}
    for mode in filter(None, args.compile.split(",")): tools[f"PyTorch torch.compile, {mode}"] = common + ["--channels-last", "--compile", mode]
    return tools


def measure(tools):
    """All rounds of all tools; one that failed is not tried again."""
    results = {name: [] for name in tools}
    for _ in range(args.rounds):
        for name, command in tools.items():
            if not any(isinstance(r, str) for r in results[name]): results[name].append(run(name, command))
    return results


def row(place, name, results, own):
    failure = next((r for r in results if isinstance(r, str)), None)
    if failure or not results: return place + [name, failure or "not run", "", "", ""]
    rates = [r["images_per_s"] for r in results]
    rate, cpu_s = statistics.median(rates), statistics.median(r["cpu_s_per_step"] for r in results)
    spread = f" ({min(rates):.1f} to {max(rates):.1f})" if len(rates) > 1 else ""
    second = f"{int(place[1]) / rate * 1e3:.1f}" if not on_cpu else f"{cpu_s:.3f}"
    against = ["", ""]
    if name != "ncaers" and own: against = [f"{own[0] / rate:.2f}", f"{cpu_s / own[1]:.2f}" if on_cpu else ""]
    return place + [name, f"{rate:.1f}{spread}", second, *against]


on_cpu = args.device == "cpu"
print(f"{args.device}, {args.threads} threads, median (range) of {args.rounds} rounds of {args.steps} steps, one process each; TF32 on both sides: off in fp32, in convolutions only in tf32 and bf16\n")
print("| model | batch | format | tool | images/s | " + ("CPU s per step" if on_cpu else "ms per step") + " | ncaers : tool, images/s | CPU |\n|" + "---|" * 8)
for model in args.models.split(","):
    for batch in args.batches.split(","):
        for precision in args.precisions.split(","):
            results = measure({"ncaers": ours(model, batch, precision), **theirs(model, batch, precision)})
            good = [r for r in results["ncaers"] if not isinstance(r, str)]
            own = (statistics.median(r["images_per_s"] for r in good), statistics.median(r["cpu_s_per_step"] for r in good)) if good else None
            for name, found in results.items():
                print("| " + " | ".join(row([model, batch, precision], name, found, own)) + " |", flush=True)
