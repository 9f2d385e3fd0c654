# Two commands to know: `make discover` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
OUT ?= campaigns/example
PROCESSES ?= 2
DESIGN ?= campaigns/inverse-design
export OMP_NUM_THREADS = 1
export MKL_NUM_THREADS = 1

.PHONY: discover inverse-design test test-slow dft lint docs wheel clean

discover: $(STAMP)
	$(BIN)/onnes discover --parent examples/Be2Nb3.cif --parent examples/MgB2.cif --fixed Be --out $(OUT)

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

# With Quantum ESPRESSO itself, about 20 minutes on two cores; installs Debian's packages where programs are missing.
QE_PACKAGES := quantum-espresso quantum-espresso-data openmpi-bin libopenblas0-pthread cp2k-data
QE_FILES := /usr/share/espresso/pseudo/Al.pz-vbc.UPF /usr/share/cp2k/GTH_POTENTIALS
dft: $(STAMP)
	@if (for name in pw.x ph.x q2r.x matdyn.x mpirun; do command -v $$name || exit 1; done; ls $(QE_FILES)) >/dev/null 2>&1; then exit 0; \
	elif ! command -v apt-get >/dev/null; then echo "Install Quantum ESPRESSO: conda install -c conda-forge qe"; exit 1; \
	elif [ "$$(id -u)" = 0 ]; then run=; elif sudo -n true 2>/dev/null; then run=sudo; \
	else echo "Install Quantum ESPRESSO, as root: apt-get install --no-install-recommends $(QE_PACKAGES)"; exit 1; fi; \
	$$run apt-get update -qq && $$run apt-get install -y -qq --no-install-recommends $(QE_PACKAGES)
	$(BIN)/python -m pytest -q -m dft tests/verify --durations=10

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
