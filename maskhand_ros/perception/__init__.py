"""Image to hands at run time: numpy, OpenCV and ONNX Runtime; neither ROS nor torch."""
