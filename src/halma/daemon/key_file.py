# SPDX-License-Identifier: Apache-2.0
"""Files that hold the secret of a security association (RFC 4285): hexadecimal digits, for their owner's eyes alone.

    umask 077; openssl rand -hex 20 > mn1.key

Always holds: no sentence made here has anything of the content in it.
"""

from __future__ import annotations

import stat
from pathlib import Path

SHORTEST = 16
"""Octets of a key (RFC 4285 section 5.1)."""
LARGEST_FILE = 4096
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def read_key(path: str) -> bytes:
    """The secret in a key file. Raises ValueError with a sentence that says what is wrong with the file, not what is in it."""
    file = Path(path)
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f'"{path}" is not a file')
        if status.st_mode & OTHERS:
            mode = stat.S_IMODE(status.st_mode)
            raise ValueError(f'"{path}" can be used by others than its owner (mode {mode:o}); it needs mode 600')
        if status.st_size > LARGEST_FILE:
            raise ValueError(f'"{path}" is too long for a key')
        content = file.read_bytes()
    except OSError as error:
        raise ValueError(f'"{path}" cannot be read: {error.strerror}') from None
    try:
        secret = bytes.fromhex(content.decode("ascii"))
    except ValueError:
        raise ValueError(f'"{path}" must hold a key in hexadecimal digits, and nothing else') from None
    if len(secret) < SHORTEST:
        raise ValueError(f'"{path}" holds a key of {len(secret)} octets; it needs {SHORTEST} or more (RFC 4285 section 5.1)')
    return secret
