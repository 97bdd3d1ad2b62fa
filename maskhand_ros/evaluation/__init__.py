"""Evaluation against truth: labels, metrics, protocols, video and stereo.

Runs without torch.
"""
