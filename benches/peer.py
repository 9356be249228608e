#!/usr/bin/env python3
"""One network in PyTorch on this machine, as one JSON line: the other side of `benches/compare.py`.

    peer.py --model glamor|caer_net_s|resnet18|... --part step|passes [--device cuda] [--batch N] [--precision fp32|tf32|bf16] [--channels-last] [--compile MODE]

`step` is what `ncaers bench train` does: a batch from resident u8 pictures (crop, mirror, scale), forward, cross-entropy, backward,
fused SGD with momentum. `passes` is what `cargo bench --bench models` does: forward and backward on random pictures. Networks are
written from the papers with PyTorch's own layers; torchvision gives the rest.
"""
import argparse, json, statistics, time
import torch, torch.nn as nn, torch.nn.functional as F


def encoder():
    layers, inputs = [], 3
    for k, width in enumerate([32, 64, 128, 256, 256]):
        layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)] + ([nn.MaxPool2d(2)] if k < 4 else [])
        inputs = width
    return nn.Sequential(*layers)


def score(width):
    return nn.Sequential(nn.Linear(width, 128), nn.ReLU(inplace=True), nn.Linear(128, 1))


def context_attention():
    part = lambda a, b: [nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(inplace=True)]
    return nn.Sequential(*part(256, 128), *part(128, 1))


def weigh(f, c, scores):
    weights = torch.cat(scores, 1).softmax(1)
    return torch.cat([f * weights[:, :1], c * weights[:, 1:]], 1)


class Glamor(nn.Module):
    """Le et al. 2021, original encoder, global-local attention, fusion network."""

    def __init__(self):
        super().__init__()
        self.face, self.context, self.score_f, self.score_c = encoder(), encoder(), score(256), score(256)
        self.fc1, self.bn, self.fc2 = nn.Linear(512, 128), nn.BatchNorm1d(128), nn.Linear(128, 1)
        self.classifier = nn.Sequential(nn.Linear(512, 256), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Linear(256, 7))

    def forward(self, face, context):
        f, cells = self.face(face).mean((2, 3)), self.context(context).flatten(2)
        pairs = torch.cat([f.unsqueeze(2).expand(-1, -1, cells.shape[2]), cells], 1).transpose(1, 2)
        hidden = self.bn(F.relu(self.fc1(pairs)).flatten(0, 1)).relu()
        weights = self.fc2(hidden).view(len(f), -1).softmax(1)
        c = (cells * weights.unsqueeze(1)).sum(2)
        return self.classifier(weigh(f, c, [self.score_f(f), self.score_c(c)]))


class CaerNetS(nn.Module):
    """Lee et al. 2019, in the layout of the public PyTorch code."""

    def __init__(self):
        super().__init__()
        self.face, self.context, self.attention = encoder(), encoder(), context_attention()
        self.norm_f, self.norm_c, self.score_f, self.score_c = nn.BatchNorm1d(256), nn.BatchNorm1d(256), score(256), score(256)
        self.classifier = nn.Sequential(nn.Linear(512, 128), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Linear(128, 7))

    def forward(self, face, context):
        cells = self.context(context)
        weights = self.attention(cells).flatten(1).softmax(1).view(len(face), 1, *cells.shape[2:])
        f, c = self.norm_f(self.face(face).mean((2, 3))), self.norm_c((cells * weights).mean((2, 3)))
        return self.classifier(weigh(f, c, [self.score_f(f), self.score_c(c)]))


parser = argparse.ArgumentParser()
parser.add_argument("--model", default="glamor"); parser.add_argument("--part", default="step", choices=["step", "passes"])
parser.add_argument("--device", default="cpu"); parser.add_argument("--batch", type=int, default=32)
parser.add_argument("--precision", default="fp32", choices=["fp32", "tf32", "bf16"]); parser.add_argument("--threads", type=int, default=0)
parser.add_argument("--channels-last", action="store_true"); parser.add_argument("--compile", choices=["default", "reduce-overhead", "max-autotune"])
parser.add_argument("--steps", type=int, default=20); parser.add_argument("--windows", type=int, default=5)
args = parser.parse_args()
if args.threads: torch.set_num_threads(args.threads)
device, cuda = torch.device(args.device), args.device.startswith("cuda")
torch.manual_seed(0)
torch.backends.cudnn.benchmark = True
# Its own defaults (TF32 in convolutions only) but where IEEE single precision is compared.
torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = False, args.precision != "fp32"
pair = args.model in ("glamor", "caer_net_s")
if pair: model = {"glamor": Glamor, "caer_net_s": CaerNetS}[args.model]()
else:
    import torchvision
    model = getattr(torchvision.models, args.model)(num_classes=7)
layout = torch.channels_last if args.channels_last else torch.contiguous_format
model = model.to(device).to(memory_format=layout).train()
net = torch.compile(model, mode=args.compile, dynamic=False) if args.compile else model
optimizer = torch.optim.SGD(model.parameters(), lr=5e-4, momentum=0.9, fused=True)
sizes = [(96, 96, 96), (128, 171, 112)] if pair else [(224, 224, 224)]
resident = 2048 if cuda else 256
pool = [torch.randint(0, 256, (resident, 3, h, w), dtype=torch.uint8, device=device) for h, w, _ in sizes] if args.part == "step" else None
labels = torch.randint(0, 7, (resident,), device=device)
fixed = [torch.randn(args.batch, 3, side, side, device=device).to(memory_format=layout) for _, _, side in sizes]
channel = torch.arange(3, device=device).view(1, 3, 1, 1)


def windows_of(pictures, index, side, mirror):
    """pictures[index] cut to side x side at random places, mirrored where asked for: one gather of bytes."""
    n, reach = len(index), torch.arange(side, device=device)
    top, left = (torch.randint(0, size - side + 1, (n, 1), device=device) for size in pictures.shape[2:])
    columns = left + torch.where(mirror[:, None], side - 1 - reach, reach)
    cut = pictures[index.view(-1, 1, 1, 1), channel, (top + reach)[:, None, :, None], columns[:, None, None, :]]
    return (cut.float() * (1 / 255)).contiguous(memory_format=layout)


def batch():
    index, mirror = torch.randint(0, resident, (args.batch,), device=device), torch.rand(args.batch, device=device) < 0.5
    return [windows_of(pictures, index, side, mirror) for pictures, (_, _, side) in zip(pool, sizes)], labels[index]


def step():
    pictures, wanted = batch() if args.part == "step" else (fixed, labels[: args.batch])
    if args.compile: torch.compiler.cudagraph_mark_step_begin()
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=args.precision == "bf16"):
        loss = F.cross_entropy(net(*pictures).float(), wanted)
    model.zero_grad(set_to_none=True)
    loss.backward()
    if args.part == "step": optimizer.step()


wait = torch.cuda.synchronize if cuda else lambda: None
begun = time.perf_counter()
for _ in range(5): step()
wait(); warm_up = time.perf_counter() - begun
per, rates, cpu = max(1, args.steps // args.windows), [], time.process_time()
for _ in range(args.windows):
    start = time.perf_counter()
    for _ in range(per): step()
    wait(); rates.append(per * args.batch / (time.perf_counter() - start))
cpu = (time.process_time() - cpu) / (per * args.windows)
print(json.dumps({"tool": "pytorch " + torch.__version__, "model": args.model, "batch": args.batch, "precision": args.precision, "channels_last": args.channels_last, "compile": args.compile,
    "device": torch.cuda.get_device_name() if cuda else "cpu", "tf32": torch.backends.cudnn.allow_tf32, "windows": rates, "warm_up_s": warm_up, "images_per_s": statistics.median(rates), "cpu_s_per_step": cpu, "parameters": sum(p.numel() for p in model.parameters())}))
