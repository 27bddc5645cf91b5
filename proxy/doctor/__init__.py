"""What operators ask away from a running proxy: `tidegate explain` and `tidegate doctor`."""
