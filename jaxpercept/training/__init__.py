"""Trains a transform net: `jaxpercept.train(config)` returns a weights file.

This room has one jitted step for one replica, two engines that run it on many devices, a loop,
checkpoints that resume bit for bit, and the run's directory. Everything takes a `TrainConfig`. No
other room imports Orbax.
"""
