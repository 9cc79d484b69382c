"""What a frame is called where people read of it: by its file, and its number in a video; ids are for machines."""


def frame_name(uri: str | None, video_frame: int | None, most: int = 18) -> str | None:
    """The file's name, of a long one its end, and the frame of a video; None where the picture is no file of its own.

    Args:
        uri: where the picture or video lies.
        video_frame: which frame of the video it is; None: a picture.
        most: characters of the file's name.
    """
    if uri is None:
        return None
    name = uri.rsplit("/", 1)[-1]
    shown = name if len(name) <= most else f"…{name[1 - most :]}"
    return shown if video_frame is None else f"{shown}#{video_frame}"
