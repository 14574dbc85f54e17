"""Tries every part of a profile on this machine and prints the fix for what fails."""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap

from pipeline.commands.languages import add_profile_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the profile, and the language to try."""
    add_profile_arguments(parser)
    parser.add_argument("--to", metavar="LANG", help="into which language the translator is tried (one that is here)")


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each check as it is done; 0 only if all that is needed is well."""
    from pipeline.commands.advice import settings_given, worded  # noqa: PLC0415
    from pipeline.doctor import Finding, better, gpu_memory, machine, memory, stages  # noqa: PLC0415
    from pipeline.languages import code_of  # noqa: PLC0415
    from pipeline.profiles.profile import lacking, selected_profile  # noqa: PLC0415

    target = code_of(arguments.to) if arguments.to is not None else None
    profile, _ = selected_profile(arguments.profile, arguments.config, arguments.assignments)
    settings = settings_given(arguments)
    findings: list[Finding] = []
    fixes: set[tuple[str, bool]] = set()  # that were told, and if for what is needed

    def report(finding: Finding) -> None:
        findings.append(finding)
        mark = "ok  " if finding.well else "FAIL" if finding.needed else "none"
        print(_within_terminal(f"{mark} {finding.what:<10} {' '.join(finding.detail.split())}"), flush=True)
        for row in finding.rows:
            print(_within_terminal(f"{'':>15} {row}"), flush=True)
        if finding.fix and not finding.well and not {(finding.fix, True), (finding.fix, finding.needed)} & fixes:
            fixes.add((finding.fix, finding.needed))
            print(f"     {'fix:':>10} {worded(finding.fix, profile.name, settings)}", flush=True)

    for finding in machine():
        report(finding)
    print(f"profile {profile.name}: {profile.about}", flush=True)
    for finding in better(lacking(profile.name, arguments.config, arguments.assignments)):
        report(finding)
    report(gpu_memory(profile))
    report(memory(profile))
    for finding in stages(profile, target):
        report(finding)
    unwell = sum(finding.needed and not finding.well for finding in findings)
    lacking_here = dict.fromkeys(finding.what for finding in findings if not finding.well and finding.what != "profile")
    if unwell:
        print(f"{unwell} of {len(findings)} checks failed")
    else:
        without = f"; there is no {', no '.join(lacking_here)}" if lacking_here else ""
        print(f"profile {profile.name} works{without}" if without else "all is well")
    return 4 if unwell else 0


def _within_terminal(line: str) -> str:
    """Fold the line into as many as a terminal needs, each under the text of the first; whole for a pipe."""
    if not sys.stdout.isatty():
        return line
    return textwrap.fill(line, shutil.get_terminal_size().columns, subsequent_indent=" " * 16, break_on_hyphens=False)
