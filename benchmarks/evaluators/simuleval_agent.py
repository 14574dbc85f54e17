"""Our pipeline as a SimulEval agent: ``simuleval --agent benchmarks/evaluators/simuleval_agent.py --profile cpu …``."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from simuleval.agents import SpeechToTextAgent
from simuleval.agents.actions import ReadAction, WriteAction
from simuleval.utils import entrypoint

from benchmarks.evaluators.stepwise import Setup, Stepwise


@entrypoint
class TranslateLiveAgent(SpeechToTextAgent):
    """Reads whatever SimulEval gives, writes the words of the units that it completes."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._stepwise = Stepwise(Setup(args.profile, args.source_language, args.target_language))
        self._seen = 0
        super().__init__(args)

    @staticmethod
    def add_args(parser: argparse.ArgumentParser) -> None:
        """Declare the profile and the languages."""
        parser.add_argument("--profile", default="cpu")
        parser.add_argument("--source-language", default="en")
        parser.add_argument("--target-language", default="es")

    def reset(self) -> None:
        """A new recording."""
        super().reset()
        self._seen = 0
        self._stepwise.clear()

    def policy(self, states: Any = None) -> ReadAction | WriteAction:  # noqa: ANN401  (SimulEval's own class)
        """Take what is new, write what it completed."""
        states = states or self.states
        new, self._seen = states.source[self._seen :], len(states.source)
        finished = bool(states.source_finished)
        units = self._stepwise.feed(np.asarray(new, np.float32), states.source_sample_rate or 16_000, finished)
        text = " ".join(unit.text.strip() for unit in units)
        return WriteAction(text, finished=finished) if text or finished else ReadAction()
