"""Server connections: the book of who has which, the waiting line, upkeep."""
