"""Numbers to trust: what nets and losses are worth, and whether they equal PyTorch's.

PSNR, SSIM and feature distances of super-resolution nets, parity with PyTorch layer by layer, and
the paper's experiments by one command.
"""
