"""Measures how good nets and losses are, and whether they equal PyTorch's.

This room has PSNR, SSIM and feature distances of super-resolution nets, parity with PyTorch layer
by layer, and the paper's experiments in one command.
"""
