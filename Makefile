# Everything a fresh checkout needs: Python 3.11+ and make. uv is used where it is there.
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
NOTEBOOK := $(VENV)/notebook
PYTHON ?= python3

.PHONY: install demo test test-quick lint format bench crash lock docs use-cases package clean

install: $(STAMP)

# pandas lies beside the environment, not in it: for the examples that need it, not for every process of the tests.
$(STAMP): requirements.lock requirements-notebook.lock pyproject.toml
	@if command -v uv >/dev/null 2>&1; then \
	  test -x $(PY) || uv venv --quiet --python $(PYTHON) $(VENV); \
	  uv pip install --quiet --python $(PY) --require-hashes -r requirements.lock; \
	  uv pip install --quiet --python $(PY) --no-deps --no-build-isolation -e .; \
	  uv pip install --quiet --python $(PY) --require-hashes --no-deps --target $(NOTEBOOK) -r requirements-notebook.lock; \
	else \
	  test -x $(PY) || $(PYTHON) -m venv $(VENV); \
	  $(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock; \
	  $(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	  $(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --upgrade \
	    --target $(NOTEBOOK) -r requirements-notebook.lock; \
	fi
	@touch $@

demo: install
	$(VENV)/bin/amci demo $(DIR)

# A disk's fsync is most of what many tests wait for. They kill processes, not machines, so memory will do where there
# is enough of it.
ROOMY := df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 4000000 { print "/dev/shm" }'
# The processes that tests start find amci compiled, whatever the shell says of bytecode.
QUICKLY := PYTHONDONTWRITEBYTECODE= PYTEST_DEBUG_TEMPROOT=$${TMPDIR:-$$($(ROOMY))}

# The tests of a file share what takes long to make, so one process has them all; the longest files come first.
test: install
	$(QUICKLY) $(PY) -m pytest -n 3 --dist loadfile --no-loadscope-reorder -q

# One case of each quick test of every package; tests/conftest.py says which are left out.
test-quick: install
	$(QUICKLY) $(PY) -m pytest -n 3 -q --quick

lint: install
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(PY) docs/generate.py --check

format: install
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

docs: install
	$(PY) docs/generate.py

# Draws the charts of the use cases, too; what it draws with is not needed for anything else.
use-cases: install
	uv pip install --quiet --python $(PY) 'matplotlib>=3.11' 2>/dev/null || $(PY) -m pip install --quiet 'matplotlib>=3.11'
	$(PY) docs/use_cases.py

bench: install
	$(PY) -m bench

# Kills at every fault point, and fails every call to the disk: hours. EVERY=12 tries each twelfth. Progress with -s.
EVERY := 1
crash: install
	$(QUICKLY) $(PY) -m pytest tests/crash tests/lake tests/kernel tests/app tests/scheduler tests/workflows tests/sandbox tests/acceptance tests/test_threads.py -q -s --crash-all --crash-every $(EVERY)

# The wheel and the source distribution, in dist/.
package: install
	rm -rf dist
	$(PY) -m hatchling build

# Needs uv; writes versions and hashes, never an index.
lock:
	uv pip compile --quiet --universal --generate-hashes --no-header --group dev pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --generate-hashes --no-header --no-deps --group notebook -o requirements-notebook.lock

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
