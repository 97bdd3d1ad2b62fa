# Stubs of the classes of rclpy that our nodes inherit from: not every release of rclpy has types, and with an
# untyped base class mypy accepts any attribute of a node, misspelt ones too. Everything else in rclpy is Any.
from typing import Any

def __getattr__(name: str) -> Any: ...
