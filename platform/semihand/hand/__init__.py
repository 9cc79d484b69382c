"""The hand itself: arrays in, arrays out."""
