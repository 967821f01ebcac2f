"""Make control characters visible: values of data, file names and messages must not steer a terminal.

Escaped are all of C0 but line feed and tab, DEL, C1, marks that change the direction of text, invisible characters that
hide text, and lone surrogates, which no stream can encode. C0 becomes `\\x1b`; the others become `\\u202e`, as in JSON,
so that a JSON document, which holds no C0 anyway, remains the same document.
"""

import re

__all__ = ["printable", "printable_line"]

_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
_C0_END = 0x20


def printable(text: str) -> str:
    """Return the text with an escape for every control character; line feeds, tabs and all other text stay."""
    return _CONTROLS.sub(_escape, text)


def printable_line(text: str) -> str:
    """Return the text on one line, so that the name of a file or column cannot pass for a line of its own."""
    return printable(text).replace("\n", "\\n")


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < _C0_END:
        return f"\\x{code:02x}"
    if code > 0xFFFF:  # as JSON writes it
        code -= 0x10000
        return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    return f"\\u{code:04x}"
