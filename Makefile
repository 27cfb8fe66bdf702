# make run    set up on first use, then serve the dashboard on localhost
# make test   set up on first use, then run the tests, but for the slow ones
# make test-slow   those: every network, whole data sets, more of the browser
# make lint   style checks
# make bench  speed, as ratios against named peers
# make results   rewrite docs/results.md from the shipped checkpoints

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
PORT   ?= 8501
BIN    := $(VENV)/bin
ONE_THREAD := OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1

.PHONY: run test test-slow bench lint results

run: $(VENV)/.installed
	$(BIN)/streamlit run app.py --server.port $(PORT)

# A browser wants the machine to itself; all other tests share two processes, a file at a time, and
# each process keeps to one thread, since two of them would wait for each other's. Files go by name:
# pytest-xdist would leave those of few and long tests for last, and one process without work.
# A page can be caught between two drawings: a browser test that fails is tried again, which
# pytest reports, and a fault of ours fails every time.
test: WHICH = not slow
test-slow: WHICH = slow
test test-slow: $(VENV)/.installed-dev
	$(ONE_THREAD) $(BIN)/python -m pytest --ignore tests/browser -m "$(WHICH)" \
		--numprocesses 2 --dist loadfile --no-loadscope-reorder
	$(BIN)/python -m pytest tests/browser -m "$(WHICH)" --reruns 2

bench: $(VENV)/.installed-dev
	$(BIN)/python -m tests.bench

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

results: $(VENV)/.installed
	$(BIN)/python -m core.results --check
	$(BIN)/python -m core.results --write

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and \
	"Python 3.11 is needed; this is %d.%d. Name yours: make PYTHON=python3.11" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

# grad-cam, an oracle of the tests, comes without its dependencies: it asks for
# opencv-python, whose files would overwrite those of opencv-python-headless.
$(VENV)/.installed-dev: requirements-dev.txt requirements-oracle.txt $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --no-deps -r requirements-oracle.txt
	touch $@
