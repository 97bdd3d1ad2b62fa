"""A lifecycle node that ends its work with deactivate and frees what it holds with cleanup."""

from __future__ import annotations

from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from maskhand_ros.nodes.parameters import CheckedParameters


class ManagedNode(CheckedParameters):
    """Base of the lifecycle nodes. A subclass gives `_stop` and `_release`; both may be called
    in any state."""

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Ends the work; what configure made stays."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Frees what configure made."""
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Ends the work and frees everything, from any state."""
        self._stop()
        self._release()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Returns to unconfigured, so that the node can be configured again."""
        self._stop()
        self._release()
        return super().on_error(state)

    def _stop(self) -> None:
        """Ends the work and unsubscribes."""
        raise NotImplementedError

    def _release(self) -> None:
        """Frees models and publishers."""
        raise NotImplementedError
