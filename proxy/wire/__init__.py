"""Bytes to messages and back, sans-I/O. The protocols here do not know each other."""
