# Two commands to know: `make discover` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
OUT ?= campaigns/be2nb3
PROCESSES ?= 2
DESIGN ?= campaigns/inverse-design
export OMP_NUM_THREADS = 1
export MKL_NUM_THREADS = 1

.PHONY: discover inverse-design test test-slow lint docs wheel clean

discover: $(STAMP)
	$(BIN)/onnes discover --parent examples/Be2Nb3.cif --fixed Be --out $(OUT)

# From 105 superconductors to screened new compositions; needs the training data (docs/training.md).
inverse-design: $(STAMP)
	$(BIN)/onnes train generator-superconductors --out $(DESIGN)/generator
	$(BIN)/onnes discover --method diffusion --generator $(DESIGN)/generator -n 300 --new compositions --out $(DESIGN)/campaign

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch -c constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]' -c constraints.txt
	touch $(STAMP)

test: $(STAMP)
	$(BIN)/python -m pytest -q -n $(PROCESSES) --dist loadfile -m "not slow and not dft and not gpu" --cov --cov-report=term:skip-covered

test-slow: $(STAMP)
	$(BIN)/python -m pytest -q -m slow

lint: $(STAMP)
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

docs: $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[docs]' -c constraints.txt
	$(BIN)/sphinx-build -W -q -b html docs docs/_build

wheel: $(STAMP)
	$(BIN)/python -m build --wheel --outdir dist

clean:
	rm -rf $(VENV) dist build docs/_build .pytest_cache .ruff_cache
