# demo, test and lint create .venv and install what they need by themselves.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed

.PHONY: demo test lint clean-venv

demo: $(STAMP)
	$(VENV)/bin/avsep demo --out demo_out --overwrite

# Two processes of one thread: the models in the tests are too small for more.
# PYTEST_ARGS="-n 0" runs them in one.
test: $(STAMP)
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -q -n 2 --dist worksteal \
		tests avsep_sb --doctest-modules $(PYTEST_ARGS)

lint: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/yamllint .

$(STAMP): setup.py tools/setup_venv.py
	$(PYTHON) tools/setup_venv.py

clean-venv:
	rm -rf $(VENV)
