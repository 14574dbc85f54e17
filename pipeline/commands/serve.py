"""Serves translation to many listeners at once: programs, browsers, and translate-live on other machines."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from pipeline.commands.languages import add_profile_arguments
from pipeline.commands.network_options import add_redaction_arguments, add_sharing_arguments

NEEDED = ("starlette", "uvicorn", "websockets", "prometheus_client", "python_multipart")
EXAMPLES = """
examples:
  translate-live serve
      on this machine, for this machine: http://127.0.0.1:8200 is the page,
      ws://127.0.0.1:8200/v1/realtime/translations what programs talk to
  translate-live serve --profile gpu --host 0.0.0.0 --keys keys.yaml \\
      --cert fullchain.pem --key privkey.pem
      for others: they need a key of keys.yaml, which holds its SHA-256 only:
      - {id: studio, sha256: 9f86d081884c7d659a2fea..., max_sessions: 4}
  openssl rand -hex 32 | tee studio.key | tr -d '\\n' | sha256sum
      makes such a key, and its SHA-256
  curl -F file=@talk.mp3 -F to=es -F response_format=srt \\
      http://127.0.0.1:8200/v1/audio/translations
      translates a recording

OpenAI's clients work as they are: OpenAI(base_url="http://127.0.0.1:8200/v1").
SIGTERM, or Ctrl-C, lets running sessions end (--drain) and admits no others;
the second ends them. Set TRANSLATE_LIVE_SECRET (32 bytes or more, the same for
all servers behind one address) so that clients find back after a restart.
The log holds no text, no audio and no key.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options, in the order in which people need them."""
    parser.epilog = EXAMPLES
    add_profile_arguments(parser)
    where = parser.add_argument_group("where it listens")
    where.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="any but this machine's needs --keys (127.0.0.1)"
    )
    where.add_argument("--port", type=int, default=8200, help="for clients and the page (8200)")
    where.add_argument(
        "--metrics-port", type=int, default=9464, metavar="PORT", help="for /metrics, /live and /ready; 0: none (9464)"
    )
    who = parser.add_argument_group("for whom")
    who.add_argument("--keys", type=Path, metavar="FILE", help="YAML: id and sha256 of each key, may_clone, text_to_bus")
    who.add_argument("--cert", type=Path, metavar="FILE", help="TLS certificate chain (PEM); without: HTTP, for a proxy")
    who.add_argument("--key", type=Path, metavar="FILE", help="its private key (PEM)")
    who.add_argument(
        "--origin", action="append", default=[], metavar="URL", help="another site whose pages may connect; repeatable"
    )
    who.add_argument(
        "--forwarded-allow-ips", default="127.0.0.1", metavar="IP[,IP]", help="proxies that are believed (127.0.0.1)"
    )
    kept = parser.add_argument_group("what is kept (docs/privacy.md)")
    kept.add_argument(
        "--record", type=Path, metavar="DIR", help="record rooms: sound and captions of each participant, who are all told"
    )
    add_sharing_arguments(parser)
    add_redaction_arguments(parser, speech=False)
    how = parser.add_argument_group("how much")
    how.add_argument("--capacity", type=int, metavar="N", help="sessions at once (as measured for the profile)")
    how.add_argument("--drain", type=float, default=120.0, metavar="S", help="for sessions to end after SIGTERM (120)")


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal comes."""
    from pipeline.errors import BadInput  # noqa: PLC0415

    if missing := [name.replace("_", "-") for name in NEEDED if find_spec(name) is None]:
        raise BadInput(f"the server needs {', '.join(missing)}", hint="pip install 'translate-live[serve]'")
    import asyncio  # noqa: PLC0415
    import logging  # noqa: PLC0415

    from pipeline.commands.network_options import sharing_of  # noqa: PLC0415
    from pipeline.profiles.profile import selected_profile  # noqa: PLC0415
    from pipeline.server.access import load_keys  # noqa: PLC0415
    from pipeline.server.process import ServerOptions, serve  # noqa: PLC0415
    from pipeline.server.service import Limits  # noqa: PLC0415
    from pipeline.sources.address import is_here  # noqa: PLC0415

    _check(arguments)
    if arguments.keys is None and not is_here(arguments.host):
        raise BadInput(f"{arguments.host} can be reached by others: it needs --keys FILE")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    # at -v they would log what clients send
    for library in ("websockets", "uvicorn", "asyncio", "python_multipart", "httpx", "httpcore"):
        logging.getLogger(library).setLevel(logging.WARNING)
    profile, why = selected_profile(arguments.profile, arguments.config, arguments.assignments)
    options = ServerOptions(
        host=arguments.host,
        port=arguments.port,
        metrics_port=arguments.metrics_port,
        capacity=arguments.capacity,
        keys=tuple(load_keys(arguments.keys)) if arguments.keys else (),
        origins=tuple(arguments.origin),
        cert=arguments.cert,
        cert_key=arguments.key,
        forwarded_allow_ips=arguments.forwarded_allow_ips,
        limits=Limits(drain_s=arguments.drain),
        sharing=sharing_of(arguments),
        record=arguments.record,
    )

    def tell(line: str) -> None:
        if not arguments.quiet:
            print(line, file=sys.stderr, flush=True)

    tell(why)
    asyncio.run(serve(profile, options, tell))
    return 0


def _check(arguments: argparse.Namespace) -> None:
    from pipeline.errors import BadInput, check_range  # noqa: PLC0415
    from pipeline.sinks.sealing import store_key  # noqa: PLC0415
    from pipeline.sinks.writing import check_folder  # noqa: PLC0415

    for name in ("port", "metrics_port"):
        check_range(f"--{name.replace('_', '-')}", getattr(arguments, name), 0, 65535)
    if arguments.capacity is not None:
        check_range("--capacity", arguments.capacity, 1)
    check_range("--drain", arguments.drain, 0)
    if arguments.record is not None:
        check_folder(arguments.record)
        store_key()
    for origin in arguments.origin:
        if not origin.startswith(("http://", "https://")) or origin.count("/") != 2:
            raise BadInput(f"--origin {origin}: expected a site as in --origin https://example.org")
