"""MaskHand (ICCV 2025, arXiv 2412.13393) in its compact form, in torch: training and export only."""
