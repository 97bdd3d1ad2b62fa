"""Safe teleoperation, without ROS: from hands to bounded commands for a robot's hand and arm."""
