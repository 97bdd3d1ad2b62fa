"""Subscriptions with the rclpy of Humble and of later distributions."""

import inspect
from types import SimpleNamespace

import pytest

from maskhand_ros.nodes import compatibility
from maskhand_ros.nodes.image_subscription import AutoQosSubscription


@pytest.mark.parametrize('gives_info', (True, False), ids=('later', 'humble'))
@pytest.mark.parametrize('wants_info', (True, False))
def test_callbacks_have_what_this_rclpy_gives(monkeypatch, gives_info, wants_info):
    """Humble calls every callback with the message alone; later ones add a MessageInfo where it is needed."""
    monkeypatch.setattr(compatibility, 'GIVES_MESSAGE_INFO', gives_info)
    given, heard = [], []
    node = SimpleNamespace(
        resolve_topic_name=str, create_subscription=lambda kind, topic, callback, qos: given.append(callback)
    )
    AutoQosSubscription(
        node, object, 'image', (lambda msg, info: heard.append((msg, info))) if wants_info else heard.append
    )
    if gives_info and wants_info:
        with pytest.raises(TypeError):
            inspect.signature(given[0]).bind('message')
        given[0]('message', {'gid': 1})
        assert heard == [('message', {'gid': 1})]
    else:
        given[0]('message')
        assert heard == [('message', {}) if wants_info else 'message']
