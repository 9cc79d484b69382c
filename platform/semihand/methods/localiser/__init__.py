"""The localiser: where hands are in a whole picture, and which ones they are."""
