"""Decrypts a recording that was kept with $TRANSLATE_LIVE_STORE_KEY, into a file for you alone."""

from __future__ import annotations

import argparse
from pathlib import Path

EXAMPLES = """
examples:
  export TRANSLATE_LIVE_STORE_KEY=$(openssl rand -base64 32)
      a key: with it recordings and voices are encrypted; keep it elsewhere,
      without it nobody can read them
  translate-live --mic --to es --record talk
      writes talk/original.wav.sealed and talk/translated.wav.sealed
  translate-live unseal talk/original.wav.sealed --out original.wav
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = EXAMPLES
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="an encrypted recording: original.wav.sealed, or a room's captions"
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="write it here: sound to a .wav or .flac file, captions to any",
    )


def run(arguments: argparse.Namespace) -> int:
    """Decrypt it."""
    from pipeline.errors import BadInput  # noqa: PLC0415 - help needs none of this
    from pipeline.sinks.sealing import unsealed_recording  # noqa: PLC0415

    if arguments.out.resolve() == arguments.file.resolve():
        raise BadInput(f"{arguments.out} is read, and would be overwritten", hint="another name for what is written")
    size = unsealed_recording(arguments.file, arguments.out)
    print(f"wrote {arguments.out}: {size}, not encrypted; delete it when you need it no more")
    return 0
