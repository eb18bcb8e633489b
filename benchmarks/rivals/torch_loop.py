"""Side `torch`: the same Optuna and MLflow loop around plain PyTorch, eager, with fused optimizers."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from models.samples import batch_cuts
from rivals.task import Data, Task
from rivals.torch_networks import network

# The faster layout of each on a CPU (milliseconds a step of 9, on 2 cores, contiguous and channels last):
# ResNet50 127 and 169, DenseNet201 301 and 271, the small CNN 5 and 4.
LAYOUTS = {"densenet201": torch.channels_last, "small_cnn": torch.channels_last}


def make_optimizer(task: Task, rate: float, model: torch.nn.Module) -> torch.optim.Optimizer:
    """The optimizer, all weights in one kernel; epsilon is Keras's."""
    if task.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), rate, momentum=task.momentum, fused=True)
    amsgrad = task.optimizer == "amsgrad"
    return torch.optim.Adam(model.parameters(), rate, eps=1e-7, amsgrad=amsgrad, fused=True)


def train_fold(task: Task, rate: float, data: Data, fold: int) -> tuple[float, np.ndarray]:
    """Train one fold and predict what it holds out."""
    torch.set_num_threads(task.threads)
    torch.manual_seed(fold)
    train, held_out = data.split(fold)
    layout = LAYOUTS.get(task.architecture, torch.contiguous_format)
    x = torch.from_numpy(data.x).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    y = torch.from_numpy(data.y)
    model = network(task.architecture, x.shape[1]).to(memory_format=layout)
    optimizer = make_optimizer(task, rate, model)
    random = np.random.default_rng(fold)
    model.train()
    for _ in range(task.epochs):
        order = torch.from_numpy(train[random.permutation(len(train))])
        parts = torch.split(order, np.diff(batch_cuts(len(train), task.batch_size)).tolist())
        losses = [_step(model, optimizer, x[rows], y[rows]) for rows in parts]
    model.eval()
    with torch.inference_mode():
        probability = torch.sigmoid(model(x[torch.from_numpy(held_out)])[:, 0])
    loss = np.average(torch.stack(losses).numpy(), weights=[len(rows) for rows in parts])
    return float(loss), probability.numpy()


def _step(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor, y: torch.Tensor
) -> torch.Tensor:
    optimizer.zero_grad(set_to_none=True)
    loss = functional.binary_cross_entropy_with_logits(model(x)[:, 0], y)
    loss.backward()
    optimizer.step()
    return loss.detach()
