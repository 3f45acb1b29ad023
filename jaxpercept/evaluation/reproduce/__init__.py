"""Repeats the paper's own experiments on the shipped styles or yours (Johnson et al. 2016, section
4.1, figures 3-6, table 1).

`settings` says what is run (no jax). `measure` runs it unit by unit and keeps each result. `report`
writes tables and plots of the results.
"""
