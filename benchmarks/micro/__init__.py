"""What single steps of the hot path cost; the whole of it is measured by `python -m benchmarks`."""
