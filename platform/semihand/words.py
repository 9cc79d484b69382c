"""Words for numbers."""


def counted(num: int, noun: str) -> str:
    """A number of things, such as `1 frame` and `2 frames`."""
    return f"{num} {noun}" if num == 1 else f"{num} {noun}s"
