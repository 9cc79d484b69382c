"""One room per published method."""
