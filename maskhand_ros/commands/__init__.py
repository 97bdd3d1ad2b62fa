"""The commands of `maskhand` that are neither training nor ROS: modules with add_arguments and run."""
