"""What `maskhand` does that is neither training nor ROS: one module a command, each with add_arguments and run."""
