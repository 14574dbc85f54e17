"""The program of `benchmarks.clocks.paced`: passes a file on at the pace at which it would have been heard.

``pacer.py FRAME_BYTES FRAME_S < SAMPLES``. Writes the moment at which it begins, then each frame after the moment at which
it is written: float64 seconds of ``time.monotonic``, which is one clock for all processes of a machine.
"""

import struct
import sys
import time


def main() -> None:
    """Give each frame when its last sample would have been heard."""
    frame_bytes, frame_s = int(sys.argv[1]), float(sys.argv[2])
    source, out = sys.stdin.buffer, sys.stdout.buffer
    origin_s = time.monotonic()
    out.write(struct.pack("<d", origin_s))
    heard_s = 0.0
    while frame := source.read(frame_bytes):
        heard_s += frame_s * len(frame) / frame_bytes
        time.sleep(max(0.0, origin_s + heard_s - time.monotonic()))
        out.write(struct.pack("<d", time.monotonic()) + frame)
        out.flush()


if __name__ == "__main__":
    main()
