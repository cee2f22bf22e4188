# Builds and runs the engine's tests, which are C programs without Python:
#
#     make -f tools/engine.mk KIND=plain|asan|tsan
#     make -f tools/engine.mk KIND=fuzz fuzz
#
# Each tests/engine/test_*.c is a program of its own, linked with the whole engine and
# with the SQLite that tools/sqlite_build.py chooses. CSQ_FAULTS lets a test make
# allocations fail. Each tests/fuzz/fuzz_*.c is one, too: with libFuzzer where clang has it,
# and else with tests/fuzz/drive.c, which is what `run` runs a dose of.

KIND ?= plain
PYTHON ?= python3
OUT := build/engine-$(KIND)
SECONDS ?= 60

KIND_FLAGS.plain := -O2 -g
KIND_FLAGS.asan := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
    -fno-sanitize-recover=all
KIND_FLAGS.fuzz := $(KIND_FLAGS.asan)
KIND_FLAGS.tsan := -O1 -g -fno-omit-frame-pointer -fsanitize=thread

# SQLite itself is compiled with the same checks, where it is compiled at all.
SANITIZE.asan := address
SANITIZE.fuzz := address
SANITIZE.tsan := thread
SQLITE_BUILD := CSQLITE_SANITIZE=$(SANITIZE.$(KIND)) $(PYTHON) tools/sqlite_build.py

# libFuzzer comes with clang, in a package that not every system has.
DRIVER := $(OUT)/tests/fuzz/drive.o
HAS_LIBFUZZER := $(if $(filter fuzz,$(KIND)),$(shell printf \
    'int LLVMFuzzerTestOneInput(const char *a, long b) { (void)a; (void)b; return 0; }' | \
    clang -x c -fsanitize=fuzzer,address - -o /dev/null 2>/dev/null && echo yes))
ifeq ($(HAS_LIBFUZZER),yes)
CC := clang
KIND_FLAGS.fuzz += -fsanitize=fuzzer-no-link
FUZZER := -fsanitize=fuzzer
DRIVER :=
export CC
endif

SQLITE_CFLAGS := $(shell $(SQLITE_BUILD) cflags)
SQLITE_LIBS := $(shell $(SQLITE_BUILD) libs)
ifeq ($(SQLITE_LIBS),)
$(error there is no SQLite to build on)
endif

CFLAGS := -std=c11 -D_GNU_SOURCE -DCSQ_FAULTS=1 -pthread -Wall -Wextra -Wno-unused-parameter \
    $(if $(filter 1,$(CSQLITE_WERROR)),-Werror) $(KIND_FLAGS.$(KIND)) -Isrc -Itests $(SQLITE_CFLAGS)

ENGINE := $(patsubst %.c,$(OUT)/%.o,$(wildcard src/engine/*.c))
TESTS := $(wildcard tests/engine/test_*.c)
HELPERS := $(patsubst %.c,$(OUT)/%.o,$(filter-out $(TESTS),$(wildcard tests/engine/*.c)))
FUZZ_TARGETS := $(wildcard tests/fuzz/fuzz_*.c)
FUZZERS := $(patsubst tests/fuzz/%.c,$(OUT)/%,$(FUZZ_TARGETS))
PROGRAMS := $(patsubst tests/engine/%.c,$(OUT)/%,$(TESTS)) $(FUZZERS)

.PHONY: run fuzz
.SECONDARY:

# All programs run, also after one has failed: the failures may have one cause.
run: $(PROGRAMS)
ifeq ($(TESTS),)
	$(if $(wildcard tests/engine/*),$(error tests/engine has no test_*.c),@echo "no engine tests yet")
else
	@failed=; \
	for program in $(PROGRAMS); do \
	    echo "== $$program"; \
	    $(RUN.$(KIND)) $$program </dev/null || failed="$$failed $$program"; \
	done; \
	if [ -n "$$failed" ]; then echo "engine ($(KIND)): FAILED:$$failed"; exit 1; fi; \
	echo "engine ($(KIND)): $(words $(PROGRAMS)) programs, all passed"
endif

# What libFuzzer finds new is kept in build/fuzz, for the next time to begin with.
fuzz: $(FUZZERS)
	@failed=; \
	export ASAN_OPTIONS=abort_on_error=1; \
	for program in $(FUZZERS); do \
	    echo "== $$program, $(SECONDS) seconds"; \
	    if [ -n "$(FUZZER)" ]; then \
	        corpus=build/fuzz/$$(basename $$program); \
	        mkdir -p $$corpus build/fuzz/found; \
	        FUZZ_SEEDS=$$corpus $$program -runs=0 >/dev/null 2>&1; \
	        $$program -max_total_time=$(SECONDS) -max_len=2048 -timeout=20 -verbosity=0 \
	            -print_final_stats=1 -artifact_prefix=build/fuzz/found/ $$corpus; \
	    else \
	        $$program --seconds $(SECONDS); \
	    fi || failed="$$failed $$program"; \
	done; \
	if [ -n "$$failed" ]; then echo "fuzz: FAILED:$$failed"; exit 1; fi

$(OUT)/%.o: %.c $(OUT)/flags
	@mkdir -p $(@D)
	@echo "  cc $<"
	@$(CC) $(CFLAGS) -MMD -MP -c $< -o $@

$(filter-out $(FUZZERS),$(PROGRAMS)): $(OUT)/%: $(OUT)/tests/engine/%.o $(HELPERS) $(ENGINE)
	@$(CC) $(CFLAGS) $^ $(SQLITE_LIBS) -o $@

$(FUZZERS): $(OUT)/%: $(OUT)/tests/fuzz/%.o $(OUT)/tests/fuzz/fuzz.o $(DRIVER) $(HELPERS) $(ENGINE)
	@$(CC) $(CFLAGS) $(FUZZER) $^ $(SQLITE_LIBS) -o $@

# Objects depend on how they are compiled; this file changes only when its content does.
$(OUT)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CFLAGS) $(SQLITE_LIBS)' > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

FORCE:

-include $(shell find $(OUT) -name '*.d' 2>/dev/null)
