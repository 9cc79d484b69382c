"""Hostile and damaged inputs, and the reading path that must survive them; what the fuzz and its short test share."""
