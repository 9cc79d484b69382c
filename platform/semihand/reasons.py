"""The closed lists of what may befall a frame: why it is refused, and what is done to it on the way in.

It stands at the bottom and imports nothing, because the process that decodes pictures must start fast.
"""

QUARANTINE_REASONS: tuple[str, ...] = (
    "unreadable",  # the bytes open as a picture but do not decode
    "empty_file",
    "truncated",
    "not_a_picture",
    "too_large",  # in bytes or pixels, or it takes more memory than it may
    "too_small",
    "too_slow",  # it takes longer than it may
    "too_many_frames",
    "unsupported_format",  # also archives and animations
    "missing_file",
    "changed",  # the content is no longer what was listed
    "bad_name",  # a file name that is not UTF-8, or begins with a backslash
    "bad_path",  # outside the data set's root, through `..`, a loop, or not a regular file
    "bad_box",
    "bad_camera",
    "bad_truth",
    "bad_hand",
    "no_hand",  # the localiser finds none in it
    "bad_row",  # a manifest row that cannot be read at all
    "duplicate",
    "video_frame_missing",
    "not_finite",  # the labeller's answer holds NaN or infinity
    "no_pose",  # the labeller has no answer for this frame
    "crashed",  # the frame kills whatever opens it
    "poison",  # it opens, but kills every worker that labels it or seeks its hands
)

#: How a picture is brought to upright 8-bit RGB, by the code that listings count.
CONVERSIONS: dict[str, str] = {
    "turned": "set upright, as EXIF or the video's display matrix says",
    "grey": "grey repeated in three channels",
    "bilevel": "black and white repeated in three channels",
    "palette": "colours looked up in a palette",
    "cmyk": "CMYK brought to RGB without a colour profile",
    "alpha": "transparency dropped",
    "deep": "the high 8 bits kept of more",
    "first_of_several": "of a phone's several pictures the first taken",
}
