# Each target does its own set-up: `make smoke` in a fresh clone is enough.
#   PYTHON=/path/to/python3.12   the interpreter to build the environment from
#   ESPALIER_VENV=/some/folder   where the environment lives, .venv here when not given
#   TEST_FLAGS="-n 4 -x"         options for pytest

ifeq ($(.FEATURES),)
$(error GNU make 3.81 or newer is needed; this is make $(MAKE_VERSION))
endif

# A worker that dies ends the run at once: by file, what the next one gets in its place may wait for ever.
TEST_FLAGS ?= -n 2 --dist loadfile --max-worker-restart=0
# Quoted for the shell, since the path may hold spaces.
IN_VENV = "$${ESPALIER_VENV:-.venv}/bin/python" -m

.PHONY: help install smoke test test-slow parity lint clean

help:
	@echo 'make install     environment with the pinned packages, in .venv'
	@echo 'make smoke       the whole life of a small model on this CPU, about two minutes'
	@echo 'make test        the default test suite, under ten minutes on two cores'
	@echo 'make test-slow   the tests marked slow, those of the live parity left out'
	@echo 'make parity      every model family against transformers, live; installs torch beside the rest'
	@echo 'make lint        ruff over the sources'
	@echo 'make clean       removes .venv and caches; leaves runs/ alone'

install:
	@sh .ci/install

smoke: install
	@$(IN_VENV) experiments.smoke

test: install
	@$(IN_VENV) pytest -q $(TEST_FLAGS)

test-slow: install
	@$(IN_VENV) pytest -q -m slow --ignore=tests/model/parity $(TEST_FLAGS) || [ $$? -eq 5 ]  # 5: no test is marked

# One test a worker, since most of them are in one file.
parity: install
	@$(IN_VENV) pip install --quiet --disable-pip-version-check -r requirements.lock -r .ci/parity.lock
	@$(IN_VENV) pytest -q -m slow -n 2 --dist load tests/model/parity

lint: install
	@$(IN_VENV) ruff check .

clean:
	@rm -rf .venv build dist espalier.egg-info .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
