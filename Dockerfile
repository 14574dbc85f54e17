# Two images from one Debian base: `make image` builds the CPU one, `docker build --target cuda .` the one for a GPU host.
# Both serve; models are downloaded into the cache volume at the first start, not into the image.

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
# Enrolled voices and their audit lie on the volume: the root can be read only.
ENV PATH=/opt/translate-live/bin:$PATH PYTHONUNBUFFERED=1 TRANSLATE_LIVE_DATA=/home/user/.cache/data
VOLUME /home/user/.cache
EXPOSE 8200 9464
# Alive while the event loop and the models answer; the models' download at the first start takes its time.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10m \
    CMD ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9464/live', timeout=4)"]

# The CPU image, without torch. Keys: docs/server.md.
#   docker run --publish 8200:8200 --volume "$PWD/keys.yaml:/keys.yaml:ro" --volume translate-live-cache:/home/user/.cache \
#       --read-only --tmpfs /tmp translate-live:cpu
FROM base AS cpu
RUN /opt/translate-live/bin/pip install --no-cache-dir "/opt/source[serve]"
CMD ["sh", "-c", "translate-live pull cpu --from en,pt --to en,pt && exec translate-live serve --profile cpu --host 0.0.0.0 --keys /keys.yaml"]

# The CUDA image (7 GB), for an A100 host with the NVIDIA container toolkit. Built, but not tried on a GPU.
#   docker run --gpus all --publish 8200:8200 --volume "$PWD/keys.yaml:/keys.yaml:ro" --volume translate-live-cache:/home/user/.cache \
#       --read-only --tmpfs /tmp translate-live:cuda
# The CUDA libraries come with pip packages: torch brings its own, the extra gpu brings cuBLAS for CTranslate2.
FROM base AS cuda
RUN /opt/translate-live/bin/pip install --no-cache-dir "torch==2.13.0" \
    && /opt/translate-live/bin/pip install --no-cache-dir "/opt/source[gpu,serve]" \
    && /opt/translate-live/bin/pip install --no-cache-dir --no-deps qwen-tts==0.1.1 accelerate einops
CMD ["sh", "-c", "translate-live pull gpu && exec translate-live serve --profile gpu --host 0.0.0.0 --keys /keys.yaml"]
