"""Differences between the rclpy of Humble and later ones."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from rclpy.subscription import Subscription

GIVES_MESSAGE_INFO = hasattr(Subscription, 'CallbackType')
"""Whether subscriptions pass a MessageInfo to callbacks with two parameters (since Iron)."""


def subscription_callback(callback: Callable[..., None]) -> Callable[..., None]:
    """A callback that this rclpy can call: `callback(message)` unchanged, `callback(message, info)` with an
    empty `info` where rclpy passes none."""
    if GIVES_MESSAGE_INFO or _takes_message_alone(callback):
        return callback
    return lambda message: callback(message, {})


def _takes_message_alone(callback: Callable[..., None]) -> bool:
    try:
        inspect.signature(callback).bind(None)
    except TypeError:
        return False
    return True
