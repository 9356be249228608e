#!/usr/bin/env python3
"""Makes the evaluation and training fixtures of tests/fixtures/models with PyTorch 2.11.0 on the CPU.

    make_model_fixtures.py --modules DIR --out DIR [NAME...]

DIR holds `glamor.py` (class Glamor) and `others.py` (CaerNetS, EfficientFace, MaNet): PyTorch modules written independently of this
program from the papers and the public repositories, whose state-dict names they use. They are no part of this repository; torchvision
gives the rest. Weights and inputs come from tensor names (see unit_hash), outputs from an f64 evaluation rounded to f32.
"""
import argparse, json, math, os, sys, zlib
import numpy as np
import torch, torch.nn.functional as F, torchvision
from safetensors.numpy import save_file

PAIR = {"face": [2, 3, 96, 96], "context": [2, 3, 112, 112]}
IMAGE = {"image": [2, 3, 224, 224]}


def unit_hash(name, count):
    """count values in [0, 1), exact in f32."""
    h = np.arange(count, dtype=np.uint64).astype(np.uint32)
    with np.errstate(over="ignore"):
        h = h * np.uint32(0x9E3779B1) + np.uint32(zlib.crc32(name.encode()))
        h ^= h >> np.uint32(16); h *= np.uint32(0x85EBCA6B)
        h ^= h >> np.uint32(13); h *= np.uint32(0xC2B2AE35)
        h ^= h >> np.uint32(16)
    return (h >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def kind_of(name, shape):
    last = name.rsplit(".", 1)[1]
    return {"running_var": "bn_var", "running_mean": "bn_mean", "bias": "bias"}.get(last) or ("bn_weight" if len(shape) == 1 else "weight")


def weight(name, shape, gain):
    v = np.float32(2) * unit_hash(name, math.prod(shape)) - np.float32(1)
    kind = kind_of(name, shape)
    if kind == "weight":
        v = np.float32(gain * math.sqrt(6 / math.prod(shape[1:]))) * v
    else:
        offset, scale = {"bn_var": (1, 0.5), "bn_mean": (0, 0.1), "bias": (0, 0.1), "bn_weight": (1, 0.2)}[kind]
        v = np.float32(offset) + np.float32(scale) * v
    return torch.from_numpy(v.reshape(shape))


def picture(tag, shape):
    n, c, h, w = shape
    rows, cols = -(-h // 16), -(-w // 16)
    pixel = unit_hash(f"input:{tag}:pixel", n * c * h * w).reshape(shape)
    block = unit_hash(f"input:{tag}:block", n * c * rows * cols).reshape(n, c, rows, cols)
    block = block.repeat(16, 2).repeat(16, 3)[:, :, :h, :w]
    x = np.float32(4) * (np.float32(0.75) * block + np.float32(0.25) * pixel) - np.float32(2)
    return torch.from_numpy(x)


def catalogue(modules):
    sys.path.insert(0, modules)
    from glamor import Glamor
    import others
    tv = lambda name: (lambda: getattr(torchvision.models, name)(num_classes=7), IMAGE, {})
    models = {"caer_net_s": (others.CaerNetS, PAIR, {}, 1.0), "alexnet": tv("alexnet") + (1.0,), "vgg16": tv("vgg16") + (1.0,),
              "resnet18": tv("resnet18") + (0.75,), "resnet50": tv("resnet50") + (0.6,),
              "efficientface": (others.EfficientFace, IMAGE, {}, 0.85), "ma_net": (others.MaNet, IMAGE, {}, 0.6)}
    variants = {"original": {}, "original_eps1e-3": {"bn_eps": 1e-3}, "original_cls128_eps1e-3": {"bn_eps": 1e-3, "cls_hidden": 128},
                "mobilenet_v2": {"backbone": "mobilenet_v2"}, "resnet18": {"backbone": "resnet18"}, "face_only": {"branches": "face"},
                **{f"context_{a}": {"branches": "context", "attention": a} for a in ("none", "ca", "gla")},
                **{f"both_{a}": {"attention": a} for a in ("none", "ca")},
                **{f"fusion_{f}": {"fusion": f} for f in ("add", "max", "dubey", "concat")}}
    for name, config in variants.items():
        gain = {"mobilenet_v2": 0.85, "resnet18": 0.75}.get(name, 1.0)
        inputs = PAIR
        if name == "face_only": inputs = {"face": PAIR["face"]}
        if name in ("context_none", "context_ca"): inputs = {"context": PAIR["context"]}
        models[f"glamor_{name}"] = (lambda config=config: Glamor(**config), inputs, config, gain)
    return models


def filled(make, gain):
    model = make()
    state = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    model.load_state_dict({k: weight(k, list(v.shape), gain) for k, v in state.items()}, strict=False)
    return model, state


def run(model, inputs):
    out = model(**inputs) if "image" not in inputs else model(inputs["image"])
    return out if isinstance(out, dict) else {"logits": out}


def f32(x):
    return np.ascontiguousarray(x.detach().to(torch.float32).numpy())


def evaluate(name, make, shapes, config, gain, out):
    model, state = filled(make, gain)
    xs = {tag: picture(tag, shape) for tag, shape in shapes.items()}
    model.eval()
    with torch.no_grad():
        single = run(model, xs)
        double = run(model.double(), {k: v.double() for k, v in xs.items()})
    numel = lambda running: sum(v.numel() for k, v in state.items() if (".running_" in k) == running)
    names = list(state)
    some = [names[0], names[1], names[len(names) // 2], names[-1]]
    record = {"model": name, "config": config, "gain": gain, "params": numel(False), "bn_stats": numel(True), "total": numel(False) + numel(True),
              "inputs": shapes, "input_first3_and_sum": {k: [*map(float, v.flatten()[:3]), float(v.double().sum())] for k, v in xs.items()},
              "weight_first3": {k: [float(a) for a in weight(k, list(state[k].shape), gain).flatten()[:3]] for k in some},
              "dtype_of_reference": "f64 evaluation of f32 weights and inputs, rounded to f32",
              "torch_f32_max_abs_err": {k: float((single[k].double() - v).abs().max()) for k, v in double.items()},
              "tolerance": {k: 1e-4 * max(1.0, float(v.abs().max())) for k, v in double.items()},
              "outputs": {k: list(v.shape) for k, v in double.items()},
              "tensors": [{"name": k, "shape": list(v.shape), "kind": kind_of(k, v.shape)} for k, v in state.items()]}
    write(out, name, record, {k: f32(v) for k, v in double.items()})


def train(name, model_name, make, gain, decay, out):
    torch.manual_seed(0)
    model, _ = filled(make, gain)
    for m in model.modules():
        if hasattr(m, "p"): m.p = 0.0
    model = model.double().train()
    shapes = {f"train:{k}": [4, *v[1:]] for k, v in PAIR.items()}
    xs = {k.split(":")[1]: picture(k, v).double() for k, v in shapes.items()}
    labels = [0, 3, 6, 2]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=decay)
    losses, record = [], {}
    for step in range(3):
        logits = model(**xs)["logits"]
        loss = F.cross_entropy(logits, torch.tensor(labels))
        optimizer.zero_grad(); loss.backward(); losses.append(float(loss))
        if step == 0:
            first = f32(logits)
            grads = {k: p.grad for k, p in model.named_parameters()}
            record["grad_l2"] = {k: float(g.norm()) for k, g in grads.items()}
            record["grad_first3"] = {k: [float(a) for a in g.flatten()[:3]] for k, g in grads.items()}
            running = {k: v for k, v in model.state_dict().items() if ".running_" in k}
            record["running_after_1"] = {k: [float(a) for a in v[:3]] + [float(v.sum())] for k, v in running.items()}
        optimizer.step()
    record["param_sum_after_3"] = {k: float(p.sum()) for k, p in model.named_parameters()}
    with torch.no_grad():
        after = f32(model.eval()(**xs)["logits"])
    tolerance = {"loss_rel": [1e-5, 1e-4, 2e-3], "grad_l2_rel": 1e-3, "grad_first3_abs_over_grad_l2": 1e-3, "zero_grad_abs_when_l2_below_1e-6": 1e-5,
                 "running_abs": 1e-4, "param_sum_abs_over_sum_abs": 1e-4, "logits_step1_abs": 1e-4, "eval_logits_after_3_abs": 5e-3}
    record = {"model": model_name, "gain": gain, "lr": 0.01, "momentum": 0.9, "weight_decay": decay, "labels": labels, "dropout": 0, "inputs": shapes,
              "losses": losses, **record, "tolerance": tolerance}
    write(out, name, record, {"logits_step1": first, "eval_logits_after_3": after})


def write(out, name, record, tensors):
    with open(os.path.join(out, name + ".json"), "w") as f:
        json.dump(record, f, separators=(",", ":"))
        f.write("\n")
    save_file(tensors, os.path.join(out, name + ".safetensors"))
    print(name, flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--modules", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    wanted = lambda name: not args.names or name in args.names
    models = catalogue(args.modules)
    for name, (make, shapes, config, gain) in models.items():
        if wanted(name): evaluate(name, make, shapes, config, gain, args.out)
    for name, model, decay in (("train_glamor_original", "glamor_original", 0.0), ("train_glamor_original_wd", "glamor_original", 5e-3),
                               ("train_caer_net_s", "caer_net_s", 0.0)):
        if wanted(name): train(name, model, models[model][0], 1.0, decay, args.out)


if __name__ == "__main__":
    main()
