"""Evaluation against truth: labels, public data sets, metrics, protocols, video and stereo.

Runs without torch.
"""
