"""Fixed-interval smoother of a signal that is known as a whole: each value is smoothed by what comes before
and after it, so that nothing is delayed.

The velocity of the signal is a random walk, and the errors of neighbouring measurements are correlated. The
most probable signal, that of the Rauch-Tung-Striebel smoother (1965), is found as one banded system of
equations (a smoothing spline). How far the signal moves by itself against how far measurements err is chosen
by marginal likelihood, for each signal. Errors and accelerations follow Student's t (Aravkin, Burke and
Pillonetto 2014): outliers count less, and sudden motion is followed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.linalg import cho_solve_banded, cholesky_banded

MIN_VALUES = 5
"""Minimum number of values that are smoothed."""
ERROR_TIME = 0.04
"""Correlation time of measurement errors, seconds: a network errs alike on images that are alike. Measured
on rendered and real sequences: with 0 the wrist's depth follows the errors, from 0.08 on fast motion is
lost."""
_CUTOFFS = np.geomspace(0.3, 12, 11)
"""Cutoff frequencies to choose from, Hz."""
_FREEDOM = 4.0
"""Degrees of freedom of the t distributions."""
_REWEIGHTINGS = 3
"""Iterations in which outliers are reweighted."""


@dataclass
class Smoothed:
    """A smoothed signal of C channels."""

    seconds: np.ndarray
    """(T,) of the measurements."""
    values: np.ndarray
    """(T, C)"""
    density: float
    """Spectral density of the acceleration of a channel, unit^2 / s^3: how fast the signal becomes unknown
    between measurements."""

    def at(self, seconds: np.ndarray) -> np.ndarray:
        """Values (N, C) at other `seconds` (N,) within those of the measurements."""
        return np.asarray(CubicSpline(self.seconds, self.values, bc_type='natural')(seconds))

    def bridge_variance(self, before: np.ndarray, gap: np.ndarray) -> np.ndarray:
        """Variance (N,) of a channel, `before` seconds (N,) after the start of a `gap` (N,) seconds without
        measurements, relative to its two ends: that of an integrated random walk between known states."""
        return np.asarray(self.density * before**3 * (gap - before) ** 3 / (3 * gap**3))


def smooth(seconds: np.ndarray, values: np.ndarray, weights: np.ndarray) -> Smoothed:
    """The Smoothed of `values` (T, C) measured at increasing `seconds` (T,). `weights` (T,): inverse variance
    of each measurement up to a common factor. T is at least MIN_VALUES."""
    curvature = _second_difference(seconds)
    measured, moving = weights.copy(), np.ones(len(seconds) - 2)
    for _ in range(_REWEIGHTINGS):
        fit = _most_likely(seconds, values, measured, curvature, moving)
        errors = weights * np.square(values - fit.values).mean(1) / fit.variance
        steps = fit.stiffness * np.square(_apply(curvature, fit.values)).mean(1) / fit.variance
        measured = weights * (_FREEDOM + 1) / (_FREEDOM + errors)
        moving = (_FREEDOM + 1) / (_FREEDOM + steps)
    fit = _most_likely(seconds, values, measured, curvature, moving)
    return Smoothed(seconds, fit.values, fit.variance / fit.stiffness)


@dataclass
class _Fit:
    """Most probable signal (T, C) with a given ratio of the variances."""

    values: np.ndarray
    variance: float
    """Of a measurement of weight 1."""
    stiffness: float
    """Ratio of that variance to the spectral density of the acceleration, s^3."""
    cost: float
    """Negative logarithm of the marginal likelihood, but for constants."""


def _most_likely(
    seconds: np.ndarray, values: np.ndarray, weights: np.ndarray, curvature: np.ndarray, moving: np.ndarray
) -> _Fit:
    """The _Fit of the most likely of _CUTOFFS. `moving` (T - 2,): weights of the accelerations."""
    step = float(np.median(np.diff(seconds)))
    information = _error_information(seconds, weights)
    fits = (
        _solve(values, information, curvature * np.sqrt(moving)[:, None], (2 * np.pi * cutoff) ** -4 / step)
        for cutoff in _CUTOFFS
    )
    return min(fits, key=lambda fit: fit.cost)


def _solve(values: np.ndarray, information: np.ndarray, curvature: np.ndarray, stiffness: float) -> _Fit:
    """The _Fit with this `stiffness`. `information` (2, T): _error_information."""
    count, channels = values.shape
    rows = curvature * np.sqrt(stiffness)
    bands = np.zeros((3, count))  # upper triangle of the normal matrix, diagonal last
    bands[1:] = information
    for k in range(3):
        bands[2, k : count - 2 + k] += rows[:, k] ** 2
    bands[1, 1 : count - 1] += rows[:, 0] * rows[:, 1]
    bands[1, 2:] += rows[:, 1] * rows[:, 2]
    bands[0, 2:] += rows[:, 0] * rows[:, 2]
    factor = cholesky_banded(bands)
    fitted = cho_solve_banded((factor, False), _multiply(information, values))
    error = values - fitted
    squares = (error * _multiply(information, error)).sum() + np.square(_apply(rows, fitted)).sum()
    variance = max(float(squares) / (channels * (count - 2)), 1e-18)
    cost = (count - 2) * np.log(variance / stiffness) + 2 * np.log(factor[2]).sum()
    return _Fit(fitted, variance, stiffness, float(cost))


def _second_difference(seconds: np.ndarray) -> np.ndarray:
    """Coefficients (T - 2, 3) of three neighbouring values that give the second derivative, times the square
    root of the time that it stands for."""
    before, after = np.diff(seconds)[:-1], np.diff(seconds)[1:]
    both = before + after
    derivative = np.stack([2 / (before * both), -2 / (before * after), 2 / (after * both)], 1)
    return np.asarray(derivative * np.sqrt(both / 2)[:, None])


def _apply(curvature: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(T - 2, C) of _second_difference coefficients (T - 2, 3) on values (T, C)."""
    return np.asarray(sum(curvature[:, k, None] * values[k : len(values) - 2 + k] for k in range(3)))


def _error_information(seconds: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Inverse covariance of errors with variances 1 / `weights` (T,) and a correlation that decays with
    ERROR_TIME, a tridiagonal matrix: its upper diagonal (first entry 0) and its diagonal (2, T)."""
    correlation = np.exp(-np.diff(seconds) / ERROR_TIME)
    unexplained = 1 - correlation**2
    diagonal = np.ones(len(seconds))
    diagonal[1:] = 1 / unexplained
    diagonal[:-1] += correlation**2 / unexplained
    upper = np.zeros(len(seconds))
    upper[1:] = -correlation / unexplained * np.sqrt(weights[1:] * weights[:-1])
    return np.stack([upper, diagonal * weights])


def _multiply(information: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(T, C) of the symmetric tridiagonal matrix `information` (2, T) times values (T, C)."""
    upper, diagonal = information[:, :, None]
    product = diagonal * values
    product[:-1] += upper[1:] * values[1:]
    product[1:] += upper[1:] * values[:-1]
    return np.asarray(product)
