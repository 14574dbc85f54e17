# Two images: `docker build --target cpu .` and `docker build --target cuda .`
# UNBUILT: no container engine was at hand when this was written. It follows the Makefile, which is tested.

# The CPU image: the offline profile; its command is the demo.
#   docker build --target cpu --tag translate-live:cpu .
#   docker run --rm --volume "$PWD/demo:/home/user/work/demo" translate-live:cpu
FROM debian:trixie-slim AS cpu
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        python3 python3-venv espeak-ng apertium apertium-eng-spa apertium-eng-cat libportaudio2 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 user \
    && install --directory --owner user /opt/translate-live /home/user/work/demo /home/user/.cache
USER user
WORKDIR /home/user/work
COPY --chown=user . /opt/source
RUN python3 -m venv /opt/translate-live && /opt/translate-live/bin/pip install --no-cache-dir /opt/source
ENV PATH=/opt/translate-live/bin:$PATH PYTHONUNBUFFERED=1
VOLUME /home/user/.cache
CMD ["sh", "-c", "translate-live /opt/source/benchmarks/data/speech/austen-*.flac --from en --to es --profile offline \
    --realtime --out demo/talk.es.wav --captions demo/talk.vtt --captions-language both --events demo/events.jsonl \
    && translate-live summary demo/events.jsonl"]

# The CUDA image, for an A100 host with the NVIDIA container toolkit. Models are downloaded into the cache volume.
#   docker build --target cuda --tag translate-live:cuda .
#   docker run --rm --gpus all --volume translate-live-cache:/home/user/.cache --volume "$PWD:/home/user/work" \
#       translate-live:cuda talk.mp3 --to es --out talk.es.wav
# torch brings its own CUDA libraries; ctranslate2 needs the cuBLAS and cuDNN of the base image.
FROM nvidia/cuda:12.8.1-cudnn-runtime-ubuntu24.04 AS cuda
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv espeak-ng apertium apertium-eng-spa libportaudio2 \
    && rm -rf /var/lib/apt/lists/* \
    && (id --user ubuntu >/dev/null 2>&1 && userdel --remove ubuntu || true) \
    && useradd --create-home --uid 1000 user \
    && install --directory --owner user /opt/translate-live /home/user/work /home/user/.cache
USER user
WORKDIR /home/user/work
COPY --chown=user . /opt/source
RUN python3 -m venv /opt/translate-live \
    && /opt/translate-live/bin/pip install --no-cache-dir "torch==2.13.0" \
    && /opt/translate-live/bin/pip install --no-cache-dir "/opt/source[gpu]" \
    && /opt/translate-live/bin/pip install --no-cache-dir --no-deps qwen-tts==0.1.1 accelerate einops
ENV PATH=/opt/translate-live/bin:$PATH PYTHONUNBUFFERED=1
VOLUME /home/user/.cache
ENTRYPOINT ["translate-live"]
CMD ["doctor", "--profile", "gpu"]
