"""The steps of a round, without Ray."""
