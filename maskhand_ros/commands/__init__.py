"""Commands of `maskhand` that need neither torch nor ROS: modules with add_arguments and run."""
