"""The localiser: where the hands are in a whole picture, and which side each is."""
