"""What differs between the rclpy of Humble and later ones."""

from __future__ import annotations

import inspect

from rclpy.subscription import Subscription

GIVES_MESSAGE_INFO = hasattr(Subscription, 'CallbackType')
"""Whether subscriptions hand a MessageInfo to callbacks that need one: since Iron."""


def subscription_callback(callback):
    """`callback(message)` as it is, `callback(message, info)` as one that this rclpy can call: `info` is
    empty where it gives none."""
    if GIVES_MESSAGE_INFO or _takes_message_alone(callback):
        return callback
    return lambda message: callback(message, {})


def _takes_message_alone(callback):
    try:
        inspect.signature(callback).bind(None)
    except TypeError:
        return False
    return True
