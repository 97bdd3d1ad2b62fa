"""Tasks of the retargeting for mink: vectors between links, and the distance of thumb tip and fingertips."""

from __future__ import annotations

from collections.abc import Sequence

import mink
import mujoco
import numpy as np


class LinkTask(mink.Task):
    """A task on positions of links; their Jacobians are computed once for each link and configuration."""

    def __init__(self, model: mujoco.MjModel, pairs: Sequence[tuple[int, int]], rows: int) -> None:
        super().__init__(cost=np.ones(rows * len(pairs)))
        self._bodies = sorted({body for pair in pairs for body in pair})
        self._from, self._to = ([self._bodies.index(pair[end]) for pair in pairs] for end in (0, 1))
        self._jacobians = np.zeros((len(self._bodies), 3, model.nv))

    def vectors(self, configuration: mink.Configuration) -> np.ndarray:
        """(P, 3) from link to link, m, in the world frame."""
        positions = configuration.data.xpos[self._bodies]
        return positions[self._to] - positions[self._from]

    def vector_jacobians(self, configuration: mink.Configuration) -> np.ndarray:
        """(P, 3, V) of `vectors`."""
        for number, body in enumerate(self._bodies):
            mujoco.mj_jacBody(configuration.model, configuration.data, self._jacobians[number], None, body)
        return self._jacobians[self._to] - self._jacobians[self._from]


class VectorTask(LinkTask):
    """Difference of the vectors between P pairs of links and `targets` (P, 3), m."""

    def __init__(self, model: mujoco.MjModel, pairs: Sequence[tuple[int, int]]) -> None:
        super().__init__(model, pairs, rows=3)
        self.targets = np.zeros((len(pairs), 3))

    def weigh(self, weights: np.ndarray) -> None:
        """Set the weights (P,) of the squared errors."""
        self.cost = np.repeat(np.sqrt(weights), 3)

    def compute_error(self, configuration: mink.Configuration) -> np.ndarray:
        """(3P,) m."""
        return (self.vectors(configuration) - self.targets).ravel()

    def compute_jacobian(self, configuration: mink.Configuration) -> np.ndarray:
        """(3P, V)."""
        return self.vector_jacobians(configuration).reshape(3 * len(self._from), -1)


class PinchTask(LinkTask):
    """Difference of the distances of P pairs of tips and `targets` (P,), m.

    Three rows for each pair: the difference along the line between the tips, and their motion across it.
    Without the latter the linearization of a short distance is good for small steps only, and the solution
    swings to and fro.
    """

    def __init__(self, model: mujoco.MjModel, pairs: Sequence[tuple[int, int]]) -> None:
        super().__init__(model, pairs, rows=3)
        self.targets = np.zeros(len(pairs))

    def weigh(self, weights: np.ndarray) -> None:
        """Set the weights (P,) of the squared errors."""
        self.cost = np.repeat(np.sqrt(weights), 3)

    def distances(self, configuration: mink.Configuration) -> np.ndarray:
        """(P,) m."""
        return np.linalg.norm(self.vectors(configuration), axis=1)

    def compute_error(self, configuration: mink.Configuration) -> np.ndarray:
        """(3P,) m."""
        vectors = self.vectors(configuration)
        lengths = np.maximum(np.linalg.norm(vectors, axis=1), 1e-6)
        return ((1 - self.targets / lengths)[:, None] * vectors).ravel()

    def compute_jacobian(self, configuration: mink.Configuration) -> np.ndarray:
        """(3P, V)."""
        return self.vector_jacobians(configuration).reshape(3 * len(self.targets), -1)
