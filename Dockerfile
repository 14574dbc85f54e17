# Two images from one Debian base: `docker build --target cpu .` and `docker build --target cuda .`
# Models are downloaded into the cache volume at the first start (`translate-live pull`), not into the image.

FROM debian:trixie-slim AS base
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv espeak-ng libportaudio2 ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 user \
    && install --directory --owner user /opt/translate-live /home/user/work /home/user/.cache
USER user
WORKDIR /home/user/work
COPY --chown=user . /opt/source
RUN python3 -m venv /opt/translate-live
ENV PATH=/opt/translate-live/bin:$PATH PYTHONUNBUFFERED=1
VOLUME /home/user/.cache

# The CPU image: no torch, about 600 MB; without arguments it translates the talk of the repository into /home/user/work/demo.
#   docker build --target cpu --tag translate-live:cpu .
#   docker run --rm --volume "$PWD:/home/user/work" --volume translate-live-cache:/home/user/.cache translate-live:cpu
FROM base AS cpu
RUN /opt/translate-live/bin/pip install --no-cache-dir /opt/source
CMD ["sh", "-c", "translate-live pull cpu --from en --to pt && mkdir -p demo \
    && translate-live /opt/source/benchmarks/data/speech/austen-*.flac --from en --to pt --profile cpu \
    --realtime --out demo/talk.pt.wav --captions demo/talk.vtt --captions-language both --events demo/events.jsonl \
    && translate-live summary demo/events.jsonl"]

# The CUDA image, for an A100 host with the NVIDIA container toolkit. UNTRIED on a GPU.
#   docker build --target cuda --tag translate-live:cuda .
#   docker run --rm --gpus all --volume translate-live-cache:/home/user/.cache --volume "$PWD:/home/user/work" \
#       translate-live:cuda talk.mp3 --to es --out talk.es.wav
# The CUDA libraries come with pip packages: torch brings its own, the extra gpu brings cuBLAS for CTranslate2.
FROM base AS cuda
RUN /opt/translate-live/bin/pip install --no-cache-dir "torch==2.13.0" \
    && /opt/translate-live/bin/pip install --no-cache-dir "/opt/source[gpu]" \
    && /opt/translate-live/bin/pip install --no-cache-dir --no-deps qwen-tts==0.1.1 accelerate einops
ENTRYPOINT ["translate-live"]
CMD ["doctor", "--profile", "gpu"]
