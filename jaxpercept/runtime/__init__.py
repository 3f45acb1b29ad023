"""What a process of ours sets before it computes: the compilation cache and the allocator."""
