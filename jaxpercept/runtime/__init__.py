"""Prepares a process before it computes: the compilation cache, the allocator, signals and
streams.
"""
