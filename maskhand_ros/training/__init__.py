"""Training of the networks: loops, objectives, augmentation and calibration. Needs the extra `train`."""
