"""The official package (pypi.org/project/omnivoice), which speaks units from a checkpoint: for figures, and for equality.

Written for its version 0.2.1 with transformers 5.24 and torchaudio 2.11: ``pip install omnivoice==0.2.1``. Its trimming of
silence, fades and padding, which need no model, are left out.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from typing import Any


def main() -> None:
    """Read the task, speak, write what was drawn and how long it took."""
    task = json.load(sys.stdin)
    output, sys.stdout = sys.stdout, sys.stderr  # the package prints
    print(json.dumps(speak(task)), file=output)


def speak(task: dict[str, Any]) -> dict[str, Any]:
    """Speak the task's units together; gives the seconds of each round, and the codes and samples of the last."""
    torch, package = import_module("torch"), import_module("omnivoice")
    torch.set_num_threads(task["threads"])
    on_cpu = task["device"] == "cpu"
    dtype = torch.float32 if on_cpu else torch.bfloat16
    model = package.OmniVoice.from_pretrained(task["checkpoint"], device_map=task["device"], dtype=dtype)
    drawn = _noted(model)
    units, seconds, processor, samples = task["units"], [], [], []
    prompts = [
        given and package.VoiceClonePrompt(torch.tensor(given["codes"]), given["text"], given["rms"])
        for given in (unit["reference"] for unit in units)
    ]
    for _ in range(task["rounds"]):
        torch.manual_seed(units[0]["seed"])
        begun, used = time.perf_counter(), time.process_time()
        samples = model.generate(
            text=[unit["text"] for unit in units],
            language=[unit["language"] for unit in units],
            voice_clone_prompt=prompts,
            num_step=task["steps"],
            postprocess_output=False,
            pad_duration=0,
            fade_duration=0,
        )
        seconds.append(time.perf_counter() - begun)
        processor.append(time.process_time() - used)
    heard = [one.tolist() if task["samples"] else [] for one in samples]
    encoded = _encoded(torch, model, task)
    return {"seconds": seconds, "cpu_seconds": processor, "codes": drawn[-1], "samples": heard, "encoded": encoded}


def _noted(model: Any) -> list[Any]:  # noqa: ANN401
    """List the codes that the model will draw, by call."""
    drawn, iterate = [], model._generate_iterative

    def noted(*arguments: object) -> object:
        codes = iterate(*arguments)
        drawn.append([one.tolist() for one in codes])
        return codes

    model._generate_iterative = noted
    return drawn


def _encoded(torch: Any, model: Any, task: dict[str, Any]) -> Any:  # noqa: ANN401
    """Encode a clip of noise, if the task has one."""
    if "clip_seed" not in task:
        return []
    clip = torch.randn(task["clip_samples"], generator=torch.Generator().manual_seed(task["clip_seed"])) * 0.1
    return model.audio_tokenizer.encode(clip[None, None]).audio_codes[0].tolist()


if __name__ == "__main__":
    main()
