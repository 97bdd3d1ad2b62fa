"""Simulation of a robot hand above a table, in MuJoCo. Needs the extra `teleop`."""

from maskhand_ros.simulation.hand_simulation import HandSimulation

__all__ = ['HandSimulation']
