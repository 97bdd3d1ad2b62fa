"""A tiny MaskHand and tiny shards for the tests of this folder."""

from tiny_model import fake_shard, one_thread, shards, tiny_model  # noqa: F401
