"""What is told to people and machines: metrics and logs."""
