# Builds and runs the engine's tests, which are C programs without Python:
#
#     make -f tools/engine.mk KIND=plain|asan|tsan
#
# Each tests/engine/test_*.c is a program of its own, linked with the whole engine and
# with the SQLite that tools/sqlite_build.py chooses. CSQ_FAULTS lets a test make
# allocations fail.

KIND ?= plain
PYTHON ?= python3
OUT := build/engine-$(KIND)

KIND_FLAGS.plain := -O2 -g
KIND_FLAGS.asan := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
    -fno-sanitize-recover=all
KIND_FLAGS.tsan := -O1 -g -fno-omit-frame-pointer -fsanitize=thread

SQLITE_CFLAGS := $(shell $(PYTHON) tools/sqlite_build.py cflags)
SQLITE_LIBS := $(shell $(PYTHON) tools/sqlite_build.py libs)
ifeq ($(SQLITE_LIBS),)
$(error there is no SQLite to build on)
endif

CFLAGS := -std=c11 -D_GNU_SOURCE -DCSQ_FAULTS=1 -pthread -Wall -Wextra -Wno-unused-parameter \
    $(if $(filter 1,$(CSQLITE_WERROR)),-Werror) $(KIND_FLAGS.$(KIND)) -Isrc -Itests $(SQLITE_CFLAGS)

ENGINE := $(patsubst %.c,$(OUT)/%.o,$(wildcard src/engine/*.c))
TESTS := $(wildcard tests/engine/test_*.c)
HELPERS := $(patsubst %.c,$(OUT)/%.o,$(filter-out $(TESTS),$(wildcard tests/engine/*.c)))
PROGRAMS := $(patsubst tests/engine/%.c,$(OUT)/%,$(TESTS))

.PHONY: run
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

$(OUT)/%.o: %.c $(OUT)/flags
	@mkdir -p $(@D)
	@echo "  cc $<"
	@$(CC) $(CFLAGS) -MMD -MP -c $< -o $@

$(PROGRAMS): $(OUT)/%: $(OUT)/tests/engine/%.o $(HELPERS) $(ENGINE)
	@$(CC) $(CFLAGS) $^ $(SQLITE_LIBS) -o $@

# Objects depend on how they are compiled; this file changes only when its content does.
$(OUT)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CFLAGS) $(SQLITE_LIBS)' > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

FORCE:

-include $(shell find $(OUT) -name '*.d' 2>/dev/null)
