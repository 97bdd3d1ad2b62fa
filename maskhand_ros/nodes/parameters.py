"""Parameters of hand_node: rcl descriptors, declaration, and the check of every value that is set, all made
from maskhand_ros.options.PARAMETERS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.lifecycle import LifecycleNode
from rclpy.parameter import Parameter

from maskhand_ros.option import Option, OptionError, ReadAt
from maskhand_ros.options import PARAMETERS

_MAY_BE_SET = {
    ReadAt.START: 'set it when the node starts: in a parameter file, or with -p',
    ReadAt.CONFIGURE: 'may be set while the node is unconfigured or inactive; takes effect at configure',
    ReadAt.ACTIVATE: 'may be set while the node is unconfigured or inactive; takes effect at activate',
    ReadAt.ALWAYS: 'may be set at any time',
}
_STATES = 'unconfigured', 'inactive'
"""Lifecycle states in which options other than ReadAt.ALWAYS may be set."""


def descriptor(option: Option) -> ParameterDescriptor:
    """The rcl_interfaces/ParameterDescriptor that `ros2 param describe` shows."""
    made = ParameterDescriptor(
        type=Parameter.Type.from_parameter_value(option.default).value,
        description=option.description,
        additional_constraints=f'{option.range_text}; {_MAY_BE_SET[option.read_at]}',
        read_only=option.read_at is ReadAt.START,
    )
    if option.limits is not None and not isinstance(option.default, tuple):
        low, high = option.limits
        if isinstance(option.default, float):
            made.floating_point_range = [FloatingPointRange(from_value=low, to_value=high, step=0.0)]
        else:
            made.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=1)]
    return made


class CheckedParameters(LifecycleNode):
    """A lifecycle node whose parameters are `options`: a value is checked by Option.check, whoever sets it,
    and by the state that the node is in."""

    options: ClassVar[Mapping[str, Option]] = PARAMETERS

    def declare_options(self) -> None:
        """Declares every option. OptionError for a value, of a parameter file or `-p`, that is refused."""
        for option in self.options.values():
            # With a type of its own first: rclpy's error for another type tells neither range nor unit.
            given = self.declare_parameter(
                option.name, option.default, ParameterDescriptor(dynamic_typing=True)
            ).value
            value = Parameter(option.name, value=option.check(given)).get_parameter_value()
            self.set_descriptor(option.name, descriptor(option), value)

    def values(self) -> dict[str, Any]:
        """The present values as {name: value}."""
        return {name: option.check(self.get_parameter(name).value) for name, option in self.options.items()}

    def set_parameters(self, parameter_list: list[Parameter]) -> list[SetParametersResult]:
        """Sets one after the other; returns one result for each."""
        return [self.set_parameters_atomically([parameter]) for parameter in parameter_list]

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        """Sets all of them or none. `reason` says why a value is rejected, or at which transition it takes
        effect."""
        try:
            checked = [self._checked(parameter) for parameter in parameter_list]
        except OptionError as error:
            return SetParametersResult(successful=False, reason=str(error))
        pending = ' '.join(filter(None, map(self._pending, checked)))
        result = super().set_parameters_atomically(checked)
        if result.successful and pending:
            result.reason = pending
            self.get_logger().info(pending)
        return result

    def _checked(self, parameter: Parameter) -> Parameter:
        """The Parameter with its value converted to the type of the option; unchanged without an option."""
        option = self.options.get(parameter.name)
        if option is None:
            return parameter
        value = option.check(parameter.value)
        checked = Parameter(option.name, value=value)
        if option.read_at is not ReadAt.ALWAYS and self._changes(checked):
            self._check_state(option)
        return checked

    def _check_state(self, option: Option) -> None:
        """OptionError if the option cannot be set in the present state."""
        if option.read_at is ReadAt.START:
            raise OptionError(f'{option.name} is read only: {_MAY_BE_SET[option.read_at]}')
        state = self._state()
        if state not in _STATES:
            clean_up = ' and cleanup' if option.read_at is ReadAt.CONFIGURE else ''
            again = 'configure and activate' if clean_up else 'activate'
            raise OptionError(
                f'{option.name} cannot be set while the node is {state}: it is read at '
                f'{option.read_at.value}. Do `ros2 lifecycle set {self.get_fully_qualified_name()} '
                f'deactivate`{clean_up}, set it, then {again}'
            )

    def _pending(self, parameter: Parameter) -> str:
        """Text about the transitions after which a new value takes effect; empty if it does at once."""
        option = self.options.get(parameter.name)
        if option is None or option.read_at is not ReadAt.CONFIGURE or not self._changes(parameter):
            return ''
        if self._state() == 'unconfigured':
            return ''
        name = self.get_fully_qualified_name()
        return f'{option.name} takes effect at the next configure: `ros2 lifecycle set {name} cleanup` first.'

    def _changes(self, parameter: Parameter) -> bool:
        return bool(parameter.value != self.get_parameter(parameter.name).value)

    def _state(self) -> Any:
        """The label of the lifecycle state."""
        return self._state_machine.current_state[1]
