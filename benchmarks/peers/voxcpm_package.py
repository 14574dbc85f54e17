"""The official package (pypi.org/project/voxcpm), which speaks texts from a checkpoint: for figures, and for equality.

Written for its version 2.0.3: ``pip install voxcpm==2.0.3``. Of its dependencies VoxCPM2 needs librosa, einops, pydantic
and transformers; torchaudio, which only its first model needs, may be missing.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any


def main() -> None:
    """Read the task, speak, write what was drawn and how long it took."""
    task = json.load(sys.stdin)
    output, sys.stdout = sys.stdout, sys.stderr  # the package prints
    print(json.dumps(speak(task)), file=output)


def speak(task: dict[str, Any]) -> dict[str, Any]:
    """Speak the task's cases one by one; gives what was drawn of each, its seconds, and the clip's latent frames."""
    torch = import_module("torch")
    import_module("transformers").LlamaTokenizerFast  # noqa: B018 - it looks for torchaudio, and lazily
    if find_spec("torchaudio") is None:
        sys.modules["torchaudio"] = ModuleType("torchaudio")
    torch.set_num_threads(task["threads"])
    package = import_module("voxcpm.model.voxcpm2").VoxCPM2Model
    model = package.from_local(task["checkpoint"], optimize=False, device=task["device"])
    clip = torch.randn(task["clip_samples"], generator=torch.Generator().manual_seed(task["clip_seed"])) * 0.1
    patches = _encoded(torch, model, clip)
    cases = [_case(torch, model, case, patches) for case in task["cases"]]
    return {"encoded": patches.tolist(), "tokens": [model.text_tokenizer(text) for text in task["texts"]], "cases": cases}


def _encoded(torch: Any, model: Any, clip: Any) -> Any:  # noqa: ANN401
    """Encode a clip as the package does with one that it has read from a file."""
    size = model.patch_size * model.chunk_size
    padded = torch.nn.functional.pad(clip, (0, -len(clip) % size))
    with torch.inference_mode():
        latents = model.audio_vae.encode(padded.unsqueeze(0).to(model.device), 16000)
    return latents.view(model.feat_dim, -1, model.patch_size).permute(1, 2, 0).cpu()


def _case(torch: Any, model: Any, case: dict[str, Any], patches: Any) -> dict[str, Any]:  # noqa: ANN401
    """Speak a case: its states after the prompt, its patches, every 389th sample, and the seconds it took."""
    cache = {}
    if case["reference"]:
        cache["ref_audio_feat"] = patches
    if case["before"]:
        cache |= {"prompt_text": case["before"], "audio_feat": patches}
    mode = {(True, False): "reference", (False, True): "continuation", (True, True): "ref_continuation"}
    states: dict[str, Any] = {}

    def noted(name: str) -> Any:  # noqa: ANN401
        def note(_: object, given: Any) -> None:  # noqa: ANN401
            states.setdefault(name, given[0][0].float().tolist())

        return note

    layers = {"said": model.lm_to_dit_proj, "sounded": model.res_to_dit_proj}
    hooks = [layer.register_forward_pre_hook(noted(name)) for name, layer in layers.items()]
    torch.manual_seed(case["seed"])
    begun, used = time.perf_counter(), time.process_time()
    samples, _, drawn = model.generate_with_prompt_cache(
        case["text"],
        cache | {"mode": mode[bool(case["reference"]), bool(case["before"])]} if cache else None,
        min_len=case["least"] - 2,
        max_len=case["most"],
        inference_timesteps=case["steps"],
        cfg_value=case["guidance"],
    )
    seconds, processor = time.perf_counter() - begun, time.process_time() - used
    for hook in hooks:
        hook.remove()
    heard = samples[0].tolist()
    return {**states, "patches": drawn.tolist(), "samples": heard[::389], "seconds": seconds, "cpu_seconds": processor}


if __name__ == "__main__":
    main()
