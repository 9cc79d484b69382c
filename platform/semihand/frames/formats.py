"""What bytes are, by how they begin: one of four picture formats, or something that is named and refused."""

from semihand.frames.errors import BadFrame

_OTHER_PICTURES = {
    b"GIF8": "GIF", b"II*\0": "TIFF", b"MM\0*": "TIFF", b"II+\0": "BigTIFF", b"MM\0+": "BigTIFF", b"8BPS": "PSD",
    b"%!PS": "PostScript", b"%PDF": "PDF", b"\0\0\0\x0cjP": "JPEG 2000", b"\xff\x0a": "JPEG XL",
    b"\x76\x2f\x31\x01": "OpenEXR", b"\0\0\x01\0": "ICO", b"qoif": "QOI",
}  # fmt: skip
_ARCHIVES = {
    b"PK\3\4": "zip", b"PK\5\6": "zip", b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"7z\xbc\xaf": "7z",
    b"Rar!": "rar", b"\x28\xb5\x2f\xfd": "zstd",
}  # fmt: skip
ARCHIVE_EXTENSIONS = frozenset({".zip", ".tar", ".gz", ".tgz", ".bz2", ".tbz", ".xz", ".txz", ".7z", ".rar", ".zst"})
# "BM" alone could open a text: the size of the next header tells a bitmap.
_BITMAP_HEADERS = (b"\x0c\0\0\0", b"\x28\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0")


def recognise(data: bytes) -> str:
    """JPEG, PNG, WEBP or BMP.

    Raises:
        BadFrame: empty_file, unsupported_format or not_a_picture.
    """
    if not data:
        raise BadFrame("empty_file", "0 bytes")
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:2] == b"BM" and data[14:18] in _BITMAP_HEADERS:
        return "BMP"
    raise _refusal(data)


def _refusal(data: bytes) -> BadFrame:
    archive = next((name for start, name in _ARCHIVES.items() if data.startswith(start)), None)
    if archive or data[257:262] == b"ustar":
        return BadFrame("unsupported_format", f"an archive ({archive or 'tar'}); unpack it")
    other = next((name for start, name in _OTHER_PICTURES.items() if data.startswith(start)), None)
    if data[4:8] == b"ftyp":
        other = f"ISO media ({data[8:12].decode('ascii', 'replace')})"
    if other:
        return BadFrame("unsupported_format", f"{other}; give JPEG, PNG, WebP or BMP")
    return BadFrame("not_a_picture", f"it begins with {data[:12]!r}; pictures are JPEG, PNG, WebP or BMP")
