"""Makes images by optimisation: the baseline of Gatys et al. 2016 (arXiv 1508.06576) that the paper
compares f_W with, feature inversion and style reconstruction (Johnson et al. 2016, figures 3, 4 and
5).

`settings` holds the configuration (no jax), `minimize` the optimisers, and `run` the whole job.
"""
