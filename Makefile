# Everything runs in .venv, which `make env` builds from the pinned requirements/*.txt and leaves
# alone while it is current. Needs Python >= 3.11 with venv, and make.

PYTHON ?= python3
UV_VERSION := 0.13.8
VENV := .venv
RUN := $(VENV)/bin/python
REQUIREMENTS := requirements/core.txt requirements/digits.txt requirements/dev.txt
QUICKSTART := output/quickstart
DIGITS_CONFIG := configs/digits/yolox_nano.yaml

.DEFAULT_GOAL := help
.PHONY: help env digits quickstart test test-all lint format clean

help:
	@echo "make quickstart  environment, digits data set, train, evaluate, draw: about 10 minutes on 2 cores"
	@echo "make test        the short test suite"
	@echo "make test-all    also slow and end-to-end tests"
	@echo "make lint        ruff, and the check of the formatting"
	@echo "make env         only build the environment in $(VENV)"

env: $(VENV)/.current

$(VENV)/.current: $(REQUIREMENTS) setup.py pyproject.toml
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(VENV)/bin/uv pip install --quiet --python $(RUN) $(addprefix -r ,$(REQUIREMENTS))
	$(VENV)/bin/uv pip install --quiet --python $(RUN) --no-deps --no-build-isolation --editable .
	touch $@

digits: env
	$(RUN) datasets/digits.py --output datasets/digits

quickstart: digits
	rm -rf $(QUICKSTART)
	$(RUN) train_net.py --config-file $(DIGITS_CONFIG) --num-gpus 2 \
		MODEL.DEVICE cpu OUTPUT_DIR $(QUICKSTART)
	$(RUN) demo.py --config-file $(DIGITS_CONFIG) --input datasets/digits/val \
		--output $(QUICKSTART)/demo --confidence-threshold 0.4 \
		--opts MODEL.WEIGHTS $(QUICKSTART)/model_final.pth MODEL.DEVICE cpu
	@echo "Log, curves and checkpoints: $(QUICKSTART)   drawn detections: $(QUICKSTART)/demo"

test: env
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2

test-all: env
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 --slow --end-to-end

lint: env
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

format: env
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache
