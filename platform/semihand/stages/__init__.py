"""The steps of a round, spread over a cluster by Ray; one file each, none imports another."""
