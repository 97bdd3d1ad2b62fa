"""Common parts of the training loops: one process or several, a budget of time or steps, averaged weights,
and a checkpoint to continue from."""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import signal
import time
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from maskhand_ros.cli_arguments import number, whole

CHECKPOINT = 'checkpoint.pt'
SAVE_EVERY = 60.0
"""Seconds between checkpoints."""


def add_loop_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that both loops take."""
    parser.add_argument(
        '--out', type=Path, required=True, help='folder of this run; an existing run is continued'
    )
    parser.add_argument(
        '--minutes',
        type=number(0, 1e6, 'minutes'),
        default=10.0,
        help='training time over all sittings (default 10)',
    )
    parser.add_argument('--steps', type=whole(1), help='train this many steps instead of a time')
    parser.add_argument('--batch-size', type=whole(1), help='of each process')
    parser.add_argument('--learning-rate', type=number(1e-9, 10))
    parser.add_argument('--seed', type=whole(0, 10**9), default=0)
    parser.add_argument('--threads', type=whole(1), default=1, help='CPU threads of each process (default 1)')
    parser.add_argument(
        '--bf16',
        action='store_true',
        help='networks in bfloat16: several times faster on GPUs and on CPUs with avx512_bf16',
    )
    parser.add_argument(
        '--device',
        choices=('cpu', 'cuda'),
        default='cuda' if torch.cuda.is_available() else 'cpu',
        help='default: cuda where there is one',
    )
    parser.add_argument(
        '--devices', type=whole(1), default=1, help='GPUs, or CPU processes, to train on (default 1)'
    )


def start_processes(args: argparse.Namespace) -> Fabric:
    """The Fabric of this process; with --devices N, the other N - 1 are started here and run the same
    command."""
    torch.set_num_threads(args.threads)
    fabric = Fabric(
        accelerator=args.device, devices=args.devices, strategy='ddp' if args.devices > 1 else 'auto'
    )
    fabric.launch()
    return fabric


def _parameter_groups(model: nn.Module, rates: dict[str, float]) -> dict[float, list[nn.Parameter]]:
    """Trained parameters by the factor of their learning rate; those of no prefix in `rates` have 1."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            factor = next((rates[prefix] for prefix in rates if name.startswith(prefix)), 1.0)
            groups.setdefault(factor, []).append(parameter)
    return groups


class TrainingRun:
    """Steps an optimiser with a warm-up and a cosine to the end of the budget; keeps EMA weights; saves and
    resumes.

    `objective` is called with a batch and gives the loss first; `model` is the part of it that is kept.
    `rates` {prefix: factor} multiplies the learning rate of the parameters whose names begin so.
    Resuming with the same arguments gives the same steps as never having stopped where the budget is in
    steps, on a CPU and from shards of cues: weights, optimiser and the CPU's random state are all in the
    checkpoint; a GPU's dropout and the order of images start anew.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: nn.Module,
        args: argparse.Namespace,
        fabric: Fabric,
        extra: dict | None = None,
        rates: dict[str, float] | None = None,
    ) -> None:
        self.model, self.args, self.fabric, self.extra = model, args, fabric, extra or {}
        self.objective = fabric.setup_module(objective.to(fabric.device))
        groups = _parameter_groups(model, rates or {})
        self._factors = list(groups)
        self.optimizer = fabric.setup_optimizers(
            torch.optim.AdamW(
                [{'params': parameters} for parameters in groups.values()],
                lr=args.learning_rate,
                weight_decay=0.02,
                betas=(0.9, 0.98),
                fused=True,
            )
        )
        self.ema = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self.generator = torch.Generator().manual_seed(args.seed + fabric.global_rank)
        self.step, self.seconds = 0, 0.0
        self.curve: list = []
        self.path = Path(args.out) / CHECKPOINT
        self.path.parent.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(args.seed + fabric.global_rank)
        if self.path.exists():
            self._load()
        self._last = self._saved = time.monotonic()
        self._stop = False
        self._handlers = {
            signum: signal.signal(signum, self._request_stop) for signum in (signal.SIGINT, signal.SIGTERM)
        }

    def _request_stop(self, *_: Any) -> None:
        self._stop = True

    @property
    def progress(self) -> float:
        """Share of the budget that is spent, 0 to 1."""
        spent = self.step / self.args.steps if self.args.steps else self.seconds / (60 * self.args.minutes)
        return min(1.0, spent)

    def running(self) -> bool:
        """Whether another step is due; saves now and then, and at the end or on Ctrl-C or SIGTERM.

        The first process's clock counts for all.
        """
        now = time.monotonic()
        self.seconds += now - self._last
        self._last = now
        save = now - self._saved > SAVE_EVERY
        if self.fabric.world_size > 1:
            self.seconds, self._stop, save = self.fabric.broadcast((self.seconds, self._stop, save))
        done = self._stop or self.progress >= 1
        if done or save:
            self.save()
            self._saved = now
        if done:  # what comes after may be interrupted as usual
            for signum, handler in self._handlers.items():
                signal.signal(signum, handler)
        return not done

    def update(self, *batch: Any) -> tuple:
        """One optimiser step on the objective's loss of this process's batch; what the objective gave."""
        rate = self.args.learning_rate * min(1, (self.step + 1) / 100)
        rate *= 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * self.progress))
        for group, factor in zip(self.optimizer.param_groups, self._factors, strict=True):
            group['lr'] = factor * rate
        result = self.objective(*batch)
        self.optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(result[0])
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        self._average()
        return result

    @torch.no_grad()
    def disagreement(self) -> float:
        """How far the processes' weights are apart: the largest difference in the sum of a parameter, 0 where
        all is well. Every process takes part."""
        sums = torch.stack([p.double().sum() for p in self.model.parameters()])
        sums = self.fabric.all_gather(sums).view(self.fabric.world_size, -1)
        return (sums.amax(0) - sums.amin(0)).max().item()

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(0.999, (1 + self.step) / (10 + self.step))
        for name, value in self.model.state_dict().items():
            if value.dtype.is_floating_point:
                self.ema[name].lerp_(value, 1 - decay)
            else:
                self.ema[name].copy_(value)

    def averaged(self) -> nn.Module:
        """A copy of the model with the averaged weights, in evaluation mode."""
        model = copy.deepcopy(self.model).eval()
        model.load_state_dict(self.ema)
        return model

    def log(self, **values: float) -> None:
        """Add a point to the learning curve (curve.json) and print it; the first process does."""
        point = {
            'step': self.step,
            'seconds': round(self.seconds, 1),
            **{k: round(v, 5) for k, v in values.items()},
        }
        self.curve.append(point)
        if self.fabric.is_global_zero:
            (self.path.parent / 'curve.json').write_text(json.dumps(self.curve, indent=0))
            print('  '.join(f'{name} {value}' for name, value in point.items()), flush=True)

    def save(self) -> None:
        """Write the checkpoint whole or not at all; every process takes part, for its random state."""
        random = [
            self.fabric.all_gather(state).view(self.fabric.world_size, -1).cpu()
            for state in (self.generator.get_state(), torch.get_rng_state())
        ]
        if not self.fabric.is_global_zero:
            return
        state = {
            'model': self.model.state_dict(),
            'ema': self.ema,
            'optimizer': self.optimizer.state_dict(),
            'generator': random[0],
            'torch_rng': random[1],
            'step': self.step,
            'seconds': self.seconds,
            'curve': self.curve,
            **self.extra,
        }
        part = self.path.with_suffix('.part')
        torch.save(state, part)
        os.replace(part, self.path)

    def _load(self) -> None:
        state = torch.load(self.path, map_location=self.fabric.device, weights_only=True)
        self.model.load_state_dict(state['model'])
        self.optimizer.load_state_dict(state['optimizer'])
        self.ema = state['ema']
        rank = self.fabric.global_rank
        if rank < len(state['generator']):  # with more processes than before, the new ones keep their seeds
            self.generator.set_state(state['generator'][rank].cpu().clone())
            torch.set_rng_state(state['torch_rng'][rank].cpu().clone())
        self.step, self.seconds, self.curve = state['step'], state['seconds'], state['curve']
        if self.fabric.is_global_zero:
            print(f'continuing {self.path} at step {self.step}, {self.seconds / 60:.1f} min', flush=True)
