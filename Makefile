# One command each; `make help` lists them. Everything lands in .uv, .venv and _build.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PY    ?= python3
UV    := .uv/bin/uv
BIN   := .venv/bin
BENCH := benchmarks/.venv
# `make setup TORCH=cpu` is remembered, so that later targets keep the choice.
TORCH ?= $(or $(shell cat .venv/.torch 2>/dev/null),default)
READY := .venv/.ready-$(TORCH)
# Processes that share the tests; `make test JOBS=1` uses one.
JOBS  ?= $(shell $(PY) -c 'import os; print(min(4, os.cpu_count() or 1))')

export UV_COMPILE_BYTECODE = 1
unexport PYTHONDONTWRITEBYTECODE

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

setup: $(READY) ## create .venv with everything (TORCH=cpu: no CUDA, Linux without a GPU)

test: $(READY) ## unit tests and every notebook, quick profile, no network needed
	$(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal tests --ignore=tests/site

book: $(READY) ## run the first chapter from scratch, then build the site into _build/html
	$(BIN)/python -m tools.execute --dry notebooks/start/first_run.ipynb
	rm -rf _build/html _build/.doctrees
	$(BIN)/jupyter-book build . -n -W --keep-going
	@echo "The book: file://$(CURDIR)/_build/html/index.html"

site-test: $(READY) ## check the built site in a real browser (needs chromium)
	$(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal tests/site

course: $(READY) ## assignments for students, solutions and autograders, in _build/course, and the slides
	$(BIN)/python -m tools.course
	$(MAKE) slides

slides: $(READY) ## slides of the core chapters, in _build/course/slides (builds the site if it is not there)
	[ -f _build/html/notebooks/start/first_run.ipynb ] || $(MAKE) book
	$(BIN)/python -m tools.slides

pdf: $(READY) ## the book as a PDF, _build/pdf/deep-clustering.pdf (needs XeLaTeX; says which packages)
	$(BIN)/python -m tools.pdf

plain: $(READY) ## the chapters as plain notebooks, in _build/plain (builds the site if it is not there)
	[ -f _build/html/notebooks/start/first_run.ipynb ] || $(MAKE) book
	$(BIN)/python -m tools.plain

lab: plain ## open the plain notebooks in JupyterLab
	$(BIN)/jupyter lab _build/plain/notebooks/start/first_run.ipynb

lab-source: $(READY) ## open the sources of the chapters in JupyterLab, for authors
	$(BIN)/jupyter lab notebooks/start/first_run.ipynb

sync: $(READY) ## write the library's functions into the chapters that show them
	$(BIN)/python -m tools.sync

notebooks: $(READY) ## execute every chapter in place (book profile) and store the outputs
	$(BIN)/python -m tools.execute

cover: $(READY) ## draw the cover picture again
	$(BIN)/python book/make_cover.py

bench: $(READY) $(BENCH)/.ready ## measure speed and memory, beside ClustPy too (hours): see benchmarks/README.md
	$(BIN)/python -m benchmarks.profile_step
	$(BIN)/python -m benchmarks.scale
	$(BIN)/python -m benchmarks.scale --million
	$(BIN)/python -m benchmarks.processes
	$(BIN)/python -m benchmarks.peers

wheel: $(READY) ## build the package, install it alone outside the repository, and train there
	$(BIN)/python -m tools.check_wheel

lint: $(READY) ## style and spelling
	$(BIN)/ruff check .
	$(BIN)/codespell

lock: $(UV) ## resolve requirements.lock anew from pyproject.toml
	$(UV) pip compile pyproject.toml --all-extras --group book --group lab --group test --group course --universal \
	  --generate-hashes --no-emit-index-url --no-header --upgrade -q -o requirements.lock
	echo aeon | $(UV) pip compile - --no-deps --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  --upgrade -q -o series.lock   # its files alone: its upper bounds on NumPy and Numba would hold back the rest

clean: ## remove what was built (not .venv)
	rm -rf _build .pytest_cache .ruff_cache

# ---- how the environment is made -------------------------------------------------------------------

$(UV):
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 8))' || { echo "python3 is missing or too old"; exit 1; }
	@$(PY) -m venv .uv || { echo "python3 has no venv module: on Debian and Ubuntu, apt install python3-venv"; exit 1; }
	@.uv/bin/python -m pip install -q --disable-pip-version-check 'uv==0.13.9'

$(READY): pyproject.toml requirements.lock series.lock | $(UV)
	@test -x $(BIN)/python || $(UV) venv -q .venv
	@echo "Setting up .venv from requirements.lock (PyTorch: $(TORCH))"
ifeq ($(TORCH),cpu)
	@$(UV) pip install -q --no-deps --torch-backend cpu $$($(BIN)/python tools/cpu_lock.py --torch requirements.lock) \
	  || { echo "TORCH=cpu needs download.pytorch.org, which did not answer: try again, or plain 'make setup' (3 GB with CUDA)"; exit 1; }
	@$(BIN)/python tools/cpu_lock.py requirements.lock > .venv/cpu.lock
	@$(UV) pip install -q --require-hashes -r .venv/cpu.lock
else
	@$(UV) pip install -q --require-hashes -r requirements.lock
endif
	@$(UV) pip install -q --no-deps --require-hashes -r series.lock
	@$(UV) pip install -q --no-deps --no-build-isolation -e .
	@echo $(TORCH) > .venv/.torch
	@touch $@

# What ClustPy needs does not fit the lock, so it has its own environment. BENCH_TORCH asks for a PyTorch.
$(BENCH)/.ready: pyproject.toml | $(UV)
	@test -x $(BENCH)/bin/python || $(UV) venv -q $(BENCH)
	@echo "Setting up $(BENCH) with ClustPy (PyTorch: $(or $(BENCH_TORCH),$(TORCH)))"
	@$(UV) pip install -q -p $(BENCH) $(if $(filter cpu,$(TORCH)),--torch-backend cpu) 'clustpy==0.0.3' $(BENCH_TORCH) -r pyproject.toml
	@touch $@

.PHONY: help setup test book course slides site-test pdf plain lab lab-source sync notebooks cover bench wheel lint lock clean
