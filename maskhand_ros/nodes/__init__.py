"""The ROS 2 side: messages in, messages out, and nothing about hands that `perception` does not know."""
