"""The table that `maskhand teleop` prints."""

from __future__ import annotations

import os
import platform
from typing import Any

JOINT_SPEED = 8.0
"""Limit of the joints' speed, rad/s."""


def machine() -> dict[str, Any]:
    """Processor cores, load and Python of this run."""
    return {'cores': os.cpu_count(), 'load': os.getloadavg()[0], 'python': platform.python_version()}


def rows(report: dict[str, Any]) -> list[tuple[str, str]]:
    """(name, value) of the figures of a RetargetLog and an OfflineRun."""
    if not report['frames']:
        return [('frames retargeted', '0: no hand of the operator was followed'), *_refused(report)]
    times, tips = report['retargeting_ms'], report['tip_error_mm']
    pinch, rest = report['pinch_gap_mm'], report['rest_noise_degrees']
    found = [
        ('frames retargeted', f'{report["frames"]}'),
        ('retargeting, CPU', f'p50 {times["p50"]:.2f}, p99 {times["p99"]:.2f} ms'),
        ('tip error', f'{tips["mean"]:.1f} mm ({_each(tips)})'),
        (
            'gap of thumb and finger at pinches',
            f'mean {pinch["mean"]:.1f}, p50 {pinch["p50"]:.1f}, p90 {pinch["p90"]:.1f} mm '
            f'({pinch["frames"]} frames x fingers)'
            if pinch['frames']
            else 'no pinch seen',
        ),
        ('fastest joint', f'{report["joint_speed_rad_s"]:.2f} rad/s (limit {JOINT_SPEED:g})'),
        ('joint jerk, RMS', f'{report["joint_jerk_rad_s3"]:.0f} rad/s^3'),
        (
            'joint noise at rest',
            f'{rest["between_frames_mean"]:.2f} degrees between frames, '
            f'{rest["beside_line_median"]:.2f} beside a line ({report["rest_stretches"]} stretches)'
            if report['rest_stretches']
            else 'no rest seen',
        ),
        ('fingers held', f'{report["held_finger_frames"]} frames x fingers'),
    ]
    return found + _refused(report)


def table(report: dict[str, Any]) -> str:
    """The report as lines of text."""
    found = rows(report)
    if 'command_speed_rad_s' in report:
        found.append(('fastest command', f'{report["command_speed_rad_s"]:.2f} rad/s'))
    if 'grasp' in report:
        grasp = report['grasp']
        found.append(
            ('cube lifted and put down', f'{grasp["lifted_and_put_down"]} of {grasp["seeds"]} displacements')
        )
    width = max(len(name) for name, _ in found)
    return '\n'.join(f'{name:<{width}}  {value}' for name, value in found)


def _each(tips: dict[str, float]) -> str:
    return ', '.join(f'{name} {value:.0f}' for name, value in tips.items() if name != 'mean')


def _refused(report: dict[str, Any]) -> list[tuple[str, str]]:
    refused = report.get('refused_frames', {})
    text = ', '.join(f'{count} {reason}' for reason, count in refused.items())
    return [('refused frames', text or 'none')]
