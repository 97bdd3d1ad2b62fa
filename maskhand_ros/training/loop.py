"""What the two training loops share: a budget of time or steps, averaged weights, and a checkpoint to go on
from."""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import signal
import time
from pathlib import Path

import torch
from torch import nn

CHECKPOINT = 'checkpoint.pt'
SAVE_EVERY = 60.0
"""Seconds between checkpoints."""


def add_loop_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that both loops take."""
    parser.add_argument(
        '--out', type=Path, required=True, help='folder of this run; an existing run is continued'
    )
    parser.add_argument(
        '--minutes', type=float, default=10.0, help='training time over all sittings (default 10)'
    )
    parser.add_argument('--steps', type=int, help='train this many steps instead of a time')
    parser.add_argument('--batch-size', type=int)
    parser.add_argument('--learning-rate', type=float)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--threads', type=int, default=1, help='CPU threads (default 1)')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')


class TrainingRun:
    """Steps an optimiser with a warm-up and a cosine to the end of the budget; keeps EMA weights; saves and
    resumes.

    Resuming with the same arguments gives the same steps as never having stopped where the budget is in
    steps: weights, optimiser and random state are all in the checkpoint.
    """

    def __init__(self, model: nn.Module, args: argparse.Namespace, extra: dict | None = None) -> None:
        self.model, self.args, self.extra = model, args, extra or {}
        trained = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            trained, lr=args.learning_rate, weight_decay=0.02, betas=(0.9, 0.98), fused=True
        )
        self.ema = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self.generator = torch.Generator().manual_seed(args.seed)
        self.step, self.seconds, self.curve = 0, 0.0, []
        self.path = Path(args.out) / CHECKPOINT
        self.path.parent.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(args.seed)
        if self.path.exists():
            self._load()
        self._last = self._saved = time.monotonic()
        self._stop = False
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, self._request_stop)

    def _request_stop(self, *_) -> None:
        self._stop = True

    @property
    def progress(self) -> float:
        """Share of the budget that is spent, 0 to 1."""
        spent = self.step / self.args.steps if self.args.steps else self.seconds / (60 * self.args.minutes)
        return min(1.0, spent)

    def running(self) -> bool:
        """Whether another step is due; saves now and then, and at the end or on Ctrl-C or SIGTERM."""
        now = time.monotonic()
        self.seconds += now - self._last
        self._last = now
        done = self._stop or self.progress >= 1
        if done or now - self._saved > SAVE_EVERY:
            self.save()
            self._saved = now
        return not done

    def update(self, loss: torch.Tensor) -> None:
        """One optimiser step on `loss`."""
        rate = self.args.learning_rate * min(1, (self.step + 1) / 100)
        rate *= 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * self.progress))
        for group in self.optimizer.param_groups:
            group['lr'] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        self._average()

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
        """Add a point to the learning curve (curve.json) and print it."""
        point = {
            'step': self.step,
            'seconds': round(self.seconds, 1),
            **{k: round(v, 5) for k, v in values.items()},
        }
        self.curve.append(point)
        (self.path.parent / 'curve.json').write_text(json.dumps(self.curve, indent=0))
        print('  '.join(f'{name} {value}' for name, value in point.items()), flush=True)

    def save(self) -> None:
        """Write the checkpoint whole or not at all."""
        state = {
            'model': self.model.state_dict(),
            'ema': self.ema,
            'optimizer': self.optimizer.state_dict(),
            'generator': self.generator.get_state(),
            'torch_rng': torch.get_rng_state(),
            'step': self.step,
            'seconds': self.seconds,
            'curve': self.curve,
            **self.extra,
        }
        part = self.path.with_suffix('.part')
        torch.save(state, part)
        os.replace(part, self.path)

    def _load(self) -> None:
        state = torch.load(self.path, map_location=self.args.device, weights_only=True)
        self.model.load_state_dict(state['model'])
        self.optimizer.load_state_dict(state['optimizer'])
        self.ema = state['ema']
        self.generator.set_state(state['generator'].cpu())
        torch.set_rng_state(state['torch_rng'].cpu())
        self.step, self.seconds, self.curve = state['step'], state['seconds'], state['curve']
        print(f'continuing {self.path} at step {self.step}, {self.seconds / 60:.1f} min', flush=True)
