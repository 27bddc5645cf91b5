"""The TOML file, as one validated model."""
