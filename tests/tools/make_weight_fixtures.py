#!/usr/bin/env python3
"""Makes tests/fixtures/weights with PyTorch: the same small state dict in both of its formats, and a checkpoint as training scripts write it.

    make_weight_fixtures.py OUT_DIR
"""
import sys
import numpy as np
import torch

out = sys.argv[1]
base = torch.arange(24, dtype=torch.float32)
state = {
    "turned.weight": base[:6].view(2, 3).t(),               # strides (1, 3)
    "part.weight": base[8:16].view(2, 2, 2),                # an offset into a shared storage
    "half.bias": torch.tensor([0.5, -2.0, 1024.0], dtype=torch.float16),
    "brain.bias": torch.tensor([1.0, -0.25], dtype=torch.bfloat16),
    "double.weight": torch.tensor([[1e-3, 2.5]], dtype=torch.float64),
    "bn.num_batches_tracked": torch.tensor(7),
    "empty": torch.zeros(0, 3),
}
torch.save(state, f"{out}/zip.pth")
torch.save(state, f"{out}/stream.pth", _use_new_zipfile_serialization=False)


class Recorder:
    """Something a training script keeps beside the weights."""

    def __init__(self):
        self.losses = np.zeros((2, 2), dtype=np.float32)


net = torch.nn.Linear(3, 2)
with torch.no_grad():
    net.weight.copy_(base[:6].view(2, 3))
    net.bias.copy_(base[6:8])
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
net(torch.ones(1, 3)).sum().backward()
checkpoint = {"epoch": 3, "best_acc": torch.tensor(0.5), "recorder": Recorder(), "optimizer": optimizer.state_dict(),
              "state_dict": torch.nn.DataParallel(net).state_dict()}
torch.save(checkpoint, f"{out}/checkpoint.pth.tar")
torch.save(checkpoint, f"{out}/checkpoint_stream.pth.tar", _use_new_zipfile_serialization=False)
