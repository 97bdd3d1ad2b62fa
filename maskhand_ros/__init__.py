"""MaskHand for ROS 2: camera topic in, hand meshes, 3D keypoints with uncertainty, and TF out."""

from pkgutil import extend_path

# The generated `maskhand_ros.msg` lives in the installed package: a source tree on the path must not hide it.
__path__ = extend_path(__path__, __name__)
