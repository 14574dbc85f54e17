"""Hears someone speak and speaks the translation, while they are still speaking, on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from pipeline.commands.languages import add_profile_arguments
from pipeline.commands.network_options import add_redaction_arguments, add_sharing_arguments, file_or_address
from pipeline.commands.out_options import add_out_arguments
from pipeline.commands.speaker_options import add_speaker_arguments
from pipeline.commands.watch_options import add_watch_arguments
from pipeline.languages import SameLanguage

EXAMPLES = """
examples:
  translate-live --mic --to es
      listen to the microphone, speak Spanish to the speaker
      (wear headphones, or it hears itself)
  translate-live talk.mp3 --to es --out talk.es.wav --captions talk.vtt
      translate a recording as fast as possible, into speech and captions
  translate-live talk.mp4 --to es --out talk.es.mp4
      dub a film: speech at the time of its source, captions, original sound
  translate-live rtmp://host/live --to es --out show/live.m3u8 --allow-network
      a live broadcast, 8 s later, dubbed: picture as it was, HLS in a folder
  translate-live talk.mp3 --to es --realtime
      hear a recording translated as if it were live
  translate-live a.flac b.flac --to es --captions x.srt --captions-language both
      several recordings as one talk, captions in two languages
  translate-live talk.mp3 --to es,fr,de --speak fr --out fr.wav --captions x.vtt
      three languages at once: French speech, and captions x.es.vtt, x.fr.vtt
      and x.de.vtt
  translate-live talk.mp3 --to es,fr --speak es,fr --out talk.wav
      both are spoken, into talk.es.wav and talk.fr.wav
  translate-live --mic --from en,es --to es,en
      two people at one table: what one says is spoken in the other's language
  translate-live --mic --from en,es --to en,es --no-speech --captions m.vtt
      a meeting in two languages, each shown in both; what is said in Spanish
      is not translated to Spanish
  translate-live --mic --to es --glossary product.csv --glossary names.yaml
      terms that must be said as your glossaries have them
  translate-live --mic --server wss://host --room tea --as Ana --to es
      a conversation: you speak and hear Spanish, each other their own language
  translate-live https://radio.example/live.mp3 --allow-network --to es > es.txt
      translate a broadcast into text
  cat talk.mp3 | translate-live - --to es
      translate what another program writes: any format, or raw PCM (--rate)

the last line on standard error says what came of it: seconds heard, units
(and how many were skipped), ear-voice span (from the end of a unit's source
words to the beginning of its speech), and first audio (after the first word
began)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options, in the order in which people need them."""
    parser.usage = "%(prog)s (FILE … | - | --mic) --to LANGUAGE [options]"
    parser.epilog = EXAMPLES
    parser.set_defaults(devices={})  # of the configuration file, for sessions that use them
    what = parser.add_argument_group("what is heard")
    what.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="audio or video, one after the other; -: standard input, in any format of files, or 16-bit mono PCM; or an "
        "address (see --allow-network)",
    )
    what.add_argument("--mic", action="store_true", help="listen to the microphone")
    what.add_argument(
        "--in-device", metavar="NAME", help="which microphone: part of its name (see: translate-live devices)"
    )
    what.add_argument(
        "--echo",
        choices=["headphones", "cancel", "off"],
        help="how the microphone is kept from hearing the translation: headphones, which you wear, or cancel, an echo "
        "canceller (pip install 'translate-live[echo]'); with both, what was just spoken is not translated back; off "
        "leaves that out, too (headphones)",
    )
    what.add_argument("--rate", type=int, metavar="HZ", help="sample rate of raw PCM on - (16000); a file has its own")
    what.add_argument(
        "--track",
        metavar="N|LANG",
        help="which of several audio tracks: its number or language (the default one, or one in a language of --from)",
    )
    what.add_argument(
        "--allow-network",
        action="store_true",
        help="fetch what is named by an address: a glossary, or, instead of a file, what is heard live: http(s), HLS, "
        "rtmp, rtsp (and srt, if your PyAV has it); and send a broadcast to one",
    )
    pace = what.add_mutually_exclusive_group()
    pace.add_argument(
        "--realtime",
        action="store_true",
        help="hear files, and -, at the pace at which they were spoken; a live pipe, such as arecord's, paces itself, and "
        "with this drops what cannot be kept up with",
    )
    pace.add_argument("--fast", action="store_true", help="hear files as fast as possible (the default without a speaker)")
    languages = parser.add_argument_group("languages")
    languages.add_argument("--from", dest="source", default="auto", metavar="LANG[,LANG]", help="spoken (auto: any)")
    languages.add_argument("--to", metavar="LANG[,LANG]", help="wanted, the first spoken (see: translate-live languages)")
    languages.add_argument(
        "--speak",
        metavar="LANG[,LANG]",
        help="which of several are spoken (the first; both, where --from has the same two): each a track, talk.es.wav and "
        "talk.fr.wav for --out talk.wav; a speaker plays the first",
    )
    languages.add_argument(
        "--glossary",
        type=file_or_address,
        action="append",
        default=[],
        metavar="FILE|URL",
        help="terms that must be said so: .csv, .txt, .xlsx, .yaml, .json, .tbx, .tmx or .xlf; also from https://… with "
        "--allow-network; repeatable",
    )
    languages.add_argument(
        "--hints",
        type=file_or_address,
        action="append",
        default=[],
        metavar="FILE|URL",
        help="words that may be said, one a line, or a JSON array: they are heard right; from https://… as --glossary",
    )
    languages.add_argument("--glossary-soft", action="store_true", help="terms are wishes, which a model may not follow")
    languages.add_argument(
        "--same-language",
        choices=get_args(SameLanguage),
        default="captions",
        help="what becomes of speech that is in a language of --to already, which is not translated: captions shows it as "
        "it was said, speak says it, too, mute leaves it out (captions)",
    )
    _add_outputs(parser)
    add_speaker_arguments(parser)
    add_watch_arguments(parser)
    add_sharing_arguments(parser)
    add_redaction_arguments(parser, speech=True)
    _add_models(parser)


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    speech = parser.add_argument_group("translated speech")
    add_out_arguments(speech)
    speech.add_argument("--out-device", metavar="NAME", help="which speaker: part of its name; also with --out")
    speech.add_argument("--no-speech", action="store_true", help="text only")
    speech.add_argument("--voice", metavar="NAME", help="an enrolled voice, a preset, or same: the speaker's own")
    speech.add_argument("--speaker-consents", action="store_true", help="whoever is heard agrees to --voice same")
    speech.add_argument("--voice-style", metavar="TEXT", help="how to speak, for models that take it, as: calm and warm")
    speech.add_argument(
        "--original", type=float, default=0.0, metavar="GAIN", help="mix the original voice under it, 0 to 1"
    )
    speech.add_argument(
        "--max-lag",
        type=float,
        metavar="S",
        help="skip waiting speech that would come later than this and delay the next as much (8)",
    )
    text = parser.add_argument_group("text, written while it is spoken")
    text.add_argument(
        "--captions",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help=".srt or .vtt; repeatable; of several languages one file each, as talk.es.vtt for talk.vtt",
    )
    text.add_argument("--captions-language", choices=["source", "target", "both"], help="what they show (target)")
    text.add_argument(
        "--captions-time", choices=["source", "speech"], help="show them when it was said, or is spoken (source)"
    )
    text.add_argument("--transcript", type=Path, metavar="FILE", help="what was said and its translation: .txt or .json")
    text.add_argument(
        "--events", type=Path, metavar="FILE", help="every event as a line of JSON (see: translate-live summary)"
    )
    text.add_argument(
        "--sink",
        dest="sinks",
        action="append",
        default=[],
        metavar="MODULE:CLASS",
        help="a Python class of yours that is given every event; repeatable",
    )
    text.add_argument("--record", type=Path, metavar="DIR", help="keep original and translated audio, for you alone")


def _add_models(parser: argparse.ArgumentParser) -> None:
    models = parser.add_argument_group("models")
    models.add_argument(
        "--server", metavar="URL", help="use the models of a translate-live server: wss://HOST (empty: none)"
    )
    models.add_argument(
        "--room", metavar="NAME", help="join a conversation on the server: you speak and hear the language of --to"
    )
    models.add_argument("--as", dest="name", metavar="NAME", help="what the others in the room call you")
    models.add_argument("--server-key", metavar="KEY", help="what it asks for (default: $TRANSLATE_LIVE_KEY)")
    add_profile_arguments(models)


def run(arguments: argparse.Namespace) -> int:
    """Check the options, then translate."""
    from pipeline.commands.translate_options import checked  # noqa: PLC0415
    from pipeline.commands.translate_run import run_translation  # noqa: PLC0415 - imports what help does not need

    return run_translation(checked(arguments))
