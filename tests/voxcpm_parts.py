"""Parts of the tests of VoxCPM2: a small checkpoint's engine, what the official package made of it, utterances to speak."""

import json
from pathlib import Path

import numpy as np
import torch

from models.tts.voxcpm.diffusion import Diffusion
from models.tts.voxcpm.engine import Utterance, budget
from models.tts.voxcpm.loading import load_engine
from models.tts.voxcpm.prompt import ContinuedSpeech

PACKAGE = json.loads((Path(__file__).parent / "voxcpm_package.json").read_text(encoding="utf-8"))
"""States, patches, every 389th sample and a clip's latent frames that `voxcpm` 2.0.3 (transformers 4.57.3) made of the
checkpoint of ``write_checkpoint``: its task, and what benchmarks/peers/voxcpm_package.py answered."""

TASK, FOUND = PACKAGE["task"], PACKAGE["found"]
CLIP = torch.randn(TASK["clip_samples"], generator=torch.Generator().manual_seed(TASK["clip_seed"])) * 0.1
HEARD = np.array(FOUND["encoded"], dtype=np.float32)


def parts(folder, sessions=3, steps=10, guidance=2.0, dtype="float32"):
    """Load an engine, its tokenizer and its audio encoder."""
    return load_engine(folder, "cpu", dtype, sessions, Diffusion(steps, guidance))


def utterance(text, row, case):
    """Make the utterance of a case of the package's task."""
    before = ContinuedSpeech(case["before"], HEARD) if case["before"] else None
    prompt = text.prompt(case["text"], HEARD if case["reference"] else None, before)
    limit = budget(len(text.encode(case["text"])), case["most"])
    return Utterance(prompt, row, case["seed"], limit, case["least"])


def run(engine, *utterances):
    """Speak utterances together, all listeners keeping up; gives what was decoded of each, in their order."""
    for one in utterances:
        engine.add(one)
    decoded = {id(one): [] for one in utterances}
    while engine.busy:
        for patch in engine.turn():
            decoded[id(patch.utterance)].append(patch)
            patch.utterance.taken += 1
    return [decoded[id(one)] for one in utterances]


def joined(patches):
    """Join the samples of an utterance."""
    return np.concatenate([patch.samples for patch in patches])
