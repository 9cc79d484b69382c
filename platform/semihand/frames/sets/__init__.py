"""Public data sets as they are published, one file each, to FRAMES."""
