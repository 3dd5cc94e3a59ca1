# make demo    convert a small network, print and plot the results (snnc-demo.png)
# make test    all tests            make native-test    those of the operator library alone
# make lint    ruff and mypy        make format         ruff and, where it is installed, clang-format, in place
# make docs    the documentation as a site, in build/site: warnings are errors
# make sdist   the source package   make clean          remove what was built
#
# PYTHON chooses the interpreter (3.10 or newer), VENV the virtual environment, PINS versions to test with, such as
# PINS='onnxruntime==1.20.1'.

PYTHON ?= python3
VENV   ?= .venv
TORCH  ?= torch==2.13.0
PINS   ?=

BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet
NATIVE  := runtime/native
SOURCES := pyproject.toml setup.py $(wildcard $(NATIVE)/*.map $(foreach depth,. */. */*/.,$(NATIVE)/$(depth)/*.?pp))

TYPED   := benchmarks fuzz torchvision_forms zoo

.PHONY: demo test lint format native-test docs sdist clean
.DELETE_ON_ERROR:

demo: $(VENV)/.demo
	$(BIN)/snnc demo

# As many processes as cores; tests of one file stay together, they share what they set up.
test: $(VENV)/.test
	$(BIN)/python -m pytest -n auto --dist loadfile

native-test: $(VENV)/.test
	$(BIN)/python -m pytest tests/test_native_*.py

# mypy must see passes/ and runtime/ as the packages that they are once installed, tests as modules that lie beside each
# other, and the folders of tests as packages.
lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf build/typing
	$(BIN)/python setup.py --quiet build_py --build-lib build/typing
	ln -s ../../tests build/typing/tests
	mypy="$$(realpath $(BIN)/mypy)" && cd build/typing && \
	  typed() { "$$mypy" --config-file ../../pyproject.toml "$$@"; } && typed -p snnc && typed tests/*.py && \
	  MYPYPATH=tests typed $(patsubst %,-p tests.%,$(TYPED))

# The C++ is formatted by `.clang-format`.
format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	if command -v clang-format > /dev/null; then \
	  find $(NATIVE) tests/native -name '*.?pp' -exec clang-format -i {} +; \
	else echo "clang-format is not installed: C++ left as it is"; fi

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

sdist: | $(BIN)/python
	$(PIP) 'build>=1.0'
	$(BIN)/python -m build --sdist --outdir dist .

clean:
	rm -rf $(VENV) build dist snnc.egg-info runtime/libsnnc_ops.so .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	"$(PYTHON)" -c 'import sys; sys.exit("Python 3.10 or newer is needed" if sys.version_info < (3, 10) else 0)'
	"$(PYTHON)" -m venv $(VENV)

# An editable install leaves the operator library in runtime/. The stamps spare later runs the installation.
$(VENV)/.demo: $(SOURCES) | $(BIN)/python
	$(PIP) -e '.[plot]'
	touch $@

$(VENV)/.test: $(SOURCES) | $(BIN)/python
	$(PIP) -e '.[plot,ray,test]' 'setuptools>=77' '$(TORCH)' onnxscript $(PINS)
	touch $@ $(VENV)/.demo

# The interface is read from the sources: nothing has to be built.
$(VENV)/.docs: | $(BIN)/python
	$(PIP) 'mkdocs>=1.6,<2' 'mkdocs-material>=9.5' 'mkdocstrings[python]>=0.26'
	touch $@
