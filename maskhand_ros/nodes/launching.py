"""What the launch files share."""

from __future__ import annotations

from launch import Action
from launch.actions import EmitEvent, RegisterEventHandler
from launch.events import matches_action
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from lifecycle_msgs.msg import Transition


def autostart(node: LifecycleNode) -> list[Action]:
    """The actions that configure a lifecycle node, and activate it once it is configured."""

    def change(transition: int) -> EmitEvent:
        return EmitEvent(
            event=ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition)
        )

    # Only after 'configuring', and once: later transitions are left to the user.
    activate = RegisterEventHandler(
        OnStateTransition(
            target_lifecycle_node=node,
            start_state='configuring',
            goal_state='inactive',
            entities=[change(Transition.TRANSITION_ACTIVATE)],
            handle_once=True,
        )
    )
    return [activate, change(Transition.TRANSITION_CONFIGURE)]
