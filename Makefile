# What can be done with csqlite's sources. `make` alone prints the list.
#
# PYTHON chooses the interpreter and VENV the environment made from it, so that several
# live side by side:  make test PYTHON=python3.13 VENV=.venv-3.13
# The variables of setup.py choose the build:  make test CSQLITE_SQLITE=system

PYTHON ?= python3
VENV ?= .venv
DEBUG_PYTHON ?= python3.11-dbg
THREADS ?= 4
JOBS ?= 2
SECONDS ?= 60

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
ENGINE := $(MAKE) -j $(shell nproc 2>/dev/null || echo 2) -f tools/engine.mk PYTHON=$(BIN)/python

C_SOURCES := $(wildcard src/*/*.[ch] tests/engine/*.[ch] tests/fuzz/*.[ch])
PACKAGE_SOURCES := $(sort setup.py pyproject.toml $(wildcard README.md src/*/*.[ch] tools/*.py \
    tools/exports.map csqlite/*.py csqlite/*/*.py stubs/csqlite/*.pyi stubs/csqlite/*/*.pyi))
ENGINE_KINDS := test-engine test-engine-asan test-engine-tsan
CHECKED_KINDS := test-asan test-tsan test-debug test-parallel

# What is built here is looked into, by gdb and by `make instructions`.
export CSQLITE_SYMBOLS ?= 1

# The directory csqlite/ has no extension in it, but Python would import it in place of the
# installed package wherever the current directory is on sys.path. Tests and checks
# therefore run in another directory, and so do the processes that tests start.
ELSEWHERE := cd tests &&

MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help demo test test-full build sqlite bench bench-full bench-system scaling instructions soak lint format typing clean fuzz FORCE $(ENGINE_KINDS) $(CHECKED_KINDS)

help: ## print this list
	@echo "make TARGET, where TARGET is one of:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## search Python's standard library with csqlite, while loading it
	$(BIN)/python examples/library_search.py $(ARGS)

# A file runs in one process, since its tests may share what is dear to make; JOBS=0: all in one.
# The order is that of tests/conftest.py, which begins with the longest.
test: build ## run every test: the engine's in C, then the Python ones in JOBS processes
	@$(MAKE) test-engine
	$(ELSEWHERE) $(abspath $(BIN))/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder \
	    --durations=10 $(ARGS)

# Both kinds of tests ask whether they may take their time: tests/doses.py, harness_dose().
test-full: ## the same, and the long ones whole; takes about two hours
	@CSQLITE_TEST_FULL=1 $(MAKE) test

build: $(INSTALLED) ## make a virtual environment and install csqlite into it

test-engine: sqlite ## run the engine's tests, without Python
	@$(ENGINE) KIND=plain

test-engine-asan: sqlite ## the same under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(ENGINE) KIND=asan

test-engine-tsan: sqlite ## the same under ThreadSanitizer
	@$(ENGINE) KIND=tsan

# What preloads a run-time library preloads it into pytest alone: make and its shells are
# not what is tested. Python's own allocator would hide what is freed from the sanitizers.
# Everything takes several times longer, which CSQLITE_TEST_PATIENCE says to the tests.
SANITIZED := PYTHONMALLOC=malloc CSQLITE_TEST_PATIENCE=6
PRELOADED := LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)"
ASAN := detect_leaks=0:detect_stack_use_after_return=1
TSAN := die_after_fork=0:history_size=4:exitcode=66
THREADED := test_waiting.py test_threads_and_loops.py test_cancellation.py test_callbacks.py \
    test_coroutine_callbacks.py test_streaming.py test_blob.py test_hooks.py test_prefetch.py \
    test_virtual_tables.py test_trace.py test_backup_targets.py test_end_of_life.py \
    test_serialize.py test_sessions.py test_loops_under_load.py test_memory_flat.py parity/test_backup.py

test-asan: ## every Python test under AddressSanitizer and UndefinedBehaviorSanitizer, then leaks
	@CSQLITE_SANITIZE=address,undefined $(MAKE) build VENV=build/asan-venv
	$(ELSEWHERE) $(PRELOADED) $(SANITIZED) ASAN_OPTIONS=$(ASAN) UBSAN_OPTIONS=print_stacktrace=1 \
	    $(abspath build/asan-venv/bin)/pytest -p no:cacheprovider $(ARGS)
	$(ELSEWHERE) $(PRELOADED) $(SANITIZED) $(abspath build/asan-venv/bin)/python leaking.py
	@$(ELSEWHERE) ! $(PRELOADED) $(SANITIZED) $(abspath build/asan-venv/bin)/python leaking.py \
	    --lose 2>/dev/null || { echo "a lost block is not noticed"; exit 1; }

test-tsan: ## the Python tests that use threads under ThreadSanitizer
	@CSQLITE_SANITIZE=thread $(MAKE) build VENV=build/tsan-venv
	rm -rf build/tsan && mkdir -p build/tsan
	$(ELSEWHERE) LD_PRELOAD="$$(gcc -print-file-name=libtsan.so)" $(SANITIZED) \
	    TSAN_OPTIONS=$(TSAN):log_path=$(abspath build/tsan)/report \
	    $(abspath build/tsan-venv/bin)/pytest -p no:cacheprovider \
	    -k "not fork and not multiprocessing" $(or $(ARGS),$(THREADED))
	@! grep -l "WARNING: ThreadSanitizer" build/tsan/* 2>/dev/null

test-debug: ## every Python test in a Python made with --with-pydebug (DEBUG_PYTHON), and its SQLite
	@CSQLITE_DEBUG=2 $(MAKE) build PYTHON=$(DEBUG_PYTHON) VENV=build/debug-venv
	$(ELSEWHERE) CSQLITE_TEST_PATIENCE=6 $(abspath build/debug-venv/bin)/pytest \
	    -p no:cacheprovider $(ARGS)

test-parallel: ## each test by THREADS threads at the same time, each with a loop of its own
	@$(MAKE) build VENV=build/parallel-venv
	build/parallel-venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/parallel.txt
	$(ELSEWHERE) CSQLITE_TEST_PATIENCE=$(THREADS) $(abspath build/parallel-venv/bin)/pytest \
	    --parallel-threads=$(THREADS) $(or $(ARGS),$(PARALLEL))

fuzz: sqlite ## run each fuzz target for SECONDS seconds; libFuzzer where clang has it
	@$(ENGINE) KIND=fuzz SECONDS=$(SECONDS) fuzz

PARALLEL := parity test_streaming.py test_callbacks.py test_coroutine_callbacks.py test_blob.py \
    test_jsonb.py test_sessions.py test_virtual_tables.py test_carray.py test_hooks.py \
    test_prefetch.py test_serialize.py test_statements.py test_waiting.py test_window_functions.py

lint: build typing ## check style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(if $(C_SOURCES),$(BIN)/clang-format --dry-run -Werror $(C_SOURCES))

format: $(VENV)/.requirements ## rewrite the sources in the project's format
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .
	$(if $(C_SOURCES),$(BIN)/clang-format -i $(C_SOURCES))

# A module is checked as a program sees it, next to the extension's stub. The first run
# reads the modules themselves, for which the others' stubs have to be out of the way: also
# those that `pip install -e .` has linked there.
typing: build
	rm -rf build/typing && mkdir -p build/typing
	cp -R csqlite build/typing/csqlite
	find build/typing/csqlite -type l -delete
	cp stubs/csqlite/_csqlite.pyi build/typing/csqlite/
	cd build/typing && $(abspath $(BIN))/mypy --config-file $(abspath pyproject.toml) -p csqlite
	cp -R stubs/csqlite/. build/typing/csqlite/
	cd build/typing && $(abspath $(BIN))/mypy --config-file $(abspath pyproject.toml) -p csqlite
	$(ELSEWHERE) $(abspath $(BIN))/python -m mypy.stubtest csqlite \
	    --allowlist $(abspath tools/stubtest.allow)

bench: build ## compare csqlite with aiosqlite and sqlite3; ARGS=--quick for a first look
	$(BIN)/python -m benchmarks $(ARGS)

# The rivals have an environment of their own, so that the tests' one stays small. What could
# not be measured does not keep the rest from being drawn.
bench-full: ## the same with every rival, into build/bench/; takes about an hour
	@CSQLITE_SQLITE=bundled $(MAKE) build VENV=build/bench-venv
	build/bench-venv/bin/python -m pip install --quiet --disable-pip-version-check \
	    -r requirements/rivals.txt
	@$(MAKE) bench-system VENV=build/bench-venv || \
	    echo "csqlite: measuring without a build on the system's SQLite" >&2
	mkdir -p build/bench
	build/bench-venv/bin/python -m benchmarks --full $(ARGS) \
	    --output build/bench/results.md --json build/bench/results.json; status=$$?; \
	    build/bench-venv/bin/python -m benchmarks.plots build/bench/results.json build/bench && \
	    exit $$status

# A second csqlite beside the installed one, for the benchmarks alone.
bench-system: $(VENV)/.requirements ## build csqlite on the system's SQLite, into build/bench-system
	rm -rf build/bench-system
	CSQLITE_SQLITE=system $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	    --no-build-isolation --no-deps --target build/bench-system .

scaling: build ## measure the cost against rows, tasks and connections, into build/scaling/
	$(BIN)/python -m benchmarks.scaling $(ARGS)

instructions: build ## count the instructions of the hot paths; ARGS=--update keeps them
	$(BIN)/python -m benchmarks.instructions $(ARGS)

# Two files, several processes, and everything that goes wrong; see tools/soak/__init__.py.
MINUTES ?= 10
soak: build ## move money under load, cancellations, kills and faults; MINUTES=10
	cd tools && $(abspath $(BIN))/python -m soak --minutes $(MINUTES) $(ARGS)

clean: ## remove what was built; the cache of SQLite stays
	rm -rf build dist csqlite.egg-info .mypy_cache .pytest_cache .ruff_cache $(VENV)
	find csqlite -type l -delete
	rm -f csqlite/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.requirements: requirements/dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/dev.txt
	@touch $@

# A build that does not say which SQLite it wants takes the pinned one, and the
# system's where the pinned one cannot be had.
sqlite: $(VENV)/.requirements
	@case "$$CSQLITE_SQLITE" in \
	bundled) $(BIN)/python tools/fetch_sqlite.py >/dev/null ;; \
	"") $(BIN)/python tools/fetch_sqlite.py >/dev/null || \
	    echo "csqlite: trying the system's SQLite instead" >&2 ;; \
	esac

# What make cannot see in the age of a file: the variables that choose the build, and
# which files there are. The file changes only when its content does.
$(VENV)/.configuration: FORCE | sqlite
	@echo "$$CSQLITE_SQLITE/$$CSQLITE_SANITIZE/$$CSQLITE_DEBUG/$$CSQLITE_WERROR/$$CSQLITE_SYMBOLS" \
	    $(PACKAGE_SOURCES) > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

# Installed as a user would install it, not in place: a file that the package forgets
# is then missing for the tests, too.
$(INSTALLED): $(VENV)/.requirements $(VENV)/.configuration $(PACKAGE_SOURCES)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	    --no-build-isolation --no-deps --force-reinstall .
	@touch $@
