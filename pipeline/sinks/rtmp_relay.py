"""A program of its own that hands bytes of FLV to an RTMP server (FFmpeg by PyAV).

FFmpeg holds Python's lock while it connects, so a server that answers slowly would hold up whoever does that in the same
process. Its standard input has the address on a line, since an address holds a key, and then the bytes; a line of its
standard output says that it is connected (`CONNECTED`), or else why not.
"""

from __future__ import annotations

import os
import sys

CONNECTED = "connected"
READ_BYTES = 65_536


def main() -> int:
    """Relay until the end of standard input."""
    import av  # noqa: PLC0415

    address = sys.stdin.buffer.readline().decode().strip()
    av.logging.set_level(av.logging.PANIC)
    try:
        out = av.open(address, "w", format="data", options={"flush_packets": "1"})  # the protocol reads FLV itself
        stream = out.add_data_stream()
        out.start_encoding()
        _say(CONNECTED)
        number = 0
        while data := os.read(0, READ_BYTES):
            packet = av.Packet(data)
            packet.stream, packet.pts, packet.dts = stream, number, number
            out.mux(packet)
            number += 1
        out.close()
    except (av.error.FFmpegError, OSError) as error:
        _say(error.strerror or str(error))
        os._exit(1)  # closing what is broken may wait for ever
    return 0


def _say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    sys.exit(main())
