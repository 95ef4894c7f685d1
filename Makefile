# anneal. `make` builds build/anneal and the libraries; `make help` lists the rest.
# Nothing here beyond GNU make 3.81 and POSIX tools.
#
#   B=build-x           another build folder        OPT=-O0       other optimisation
#   CC=clang            another compiler            WERROR=1      warnings are errors
#   SAN=address,undefined | thread                  sanitizers (use with its own B)
#   PREFIX=/usr/local   DESTDIR=                    for `make install`
#   V=1                 show the commands
B        ?= build
CC       ?= cc
ifeq ($(origin CC),default)
CC       := cc
endif
OPT      ?= -O2
PREFIX   ?= /usr/local
Q        := $(if $(V),,@)
WARN     := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter
PKGS     := jansson libxxhash libpcre2-8
SAN      ?=
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
PKGFLAGS := $(shell pkg-config --cflags $(PKGS) cmocka 2>/dev/null || pkg-config --cflags $(PKGS) 2>/dev/null)
PKGLIBS  := $(shell pkg-config --libs $(PKGS) 2>/dev/null || echo -ljansson -lxxhash -lpcre2-8)
CMOCKA   := $(shell pkg-config --libs cmocka 2>/dev/null || echo -lcmocka)
CPPFLAGS := -Isrc -Iinclude -D_GNU_SOURCE -DXXH_STATIC_LINKING_ONLY $(PKGFLAGS) $(DEFS)
CFLAGS   := -std=c11 $(OPT) -g -pthread -fvisibility=hidden -fPIC -ffp-contract=off $(WARN) $(SANFLAGS)
STRICT   := $(if $(WERROR),-Werror)
LDLIBS   := $(PKGLIBS) -lm -pthread -ldl
TARGET   := $(shell $(CC) -dumpmachine)
ARCH     := $(firstword $(subst -, ,$(TARGET)))
DARWIN   := $(findstring darwin,$(TARGET))

# A CBLAS for the host's fp32 products (src/kern/blas.h); macOS has its own.
# CBLAS=1 takes what pkg-config calls cblas or openblas; CBLAS=-lblis names one.
ifneq ($(CBLAS),)
CPPFLAGS += -DKERN_CBLAS
LDLIBS   += $(if $(filter 1,$(CBLAS)),$(shell pkg-config --libs cblas 2>/dev/null || \
                pkg-config --libs openblas 2>/dev/null || echo -lcblas),$(CBLAS))
endif

# The version stands in the public header and nowhere else.
VERSION  := $(shell sed -n 's/^.define ANNEAL_VERSION "\([^"]*\)".*/\1/p' include/anneal.h)
SOMAJOR  := $(firstword $(subst ., ,$(VERSION)))

SRC := $(wildcard src/*/*.c src/dev/*/*.c)
CLI := $(filter src/cli/%,$(SRC))
LIB := $(filter-out src/cli/%,$(SRC))
OBJ := $(LIB:%.c=$(B)/%.o)
MAINOBJ := $(B)/src/cli/main.o
CLIOBJ := $(filter-out $(MAINOBJ),$(CLI:%.c=$(B)/%.o))

# A file named *_avx512.c, *_avx2.c or *_neon.c is compiled for that set only,
# chosen at run time; on another architecture it compiles to nothing.
ISA_avx512 := -O3 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx2 -mfma -mf16c -ffp-contract=off
ISA_avx2   := -O3 -mavx2 -mfma -mf16c -ffp-contract=off
ISA_neon   := -O3
isa = $(if $(filter x86_64,$(ARCH)),$(if $(findstring _avx512,$1),$(ISA_avx512),$(if $(findstring _avx2,$1),$(ISA_avx2))),$(if $(findstring _neon,$1),$(ISA_neon)))

# The shared library: a name that changes with the major version, and only
# anneal_* visible.
ifneq ($(DARWIN),)
SHLIB    := libanneal.$(SOMAJOR).dylib
SHLINK   := libanneal.dylib
SHFLAGS  = -dynamiclib -install_name $(PREFIX)/lib/$(SHLIB) -Wl,-exported_symbol,_anneal_*
else
SHLIB    := libanneal.so.$(SOMAJOR)
SHLINK   := libanneal.so
SHFLAGS  = -shared -Wl,-soname,$(SHLIB) -Wl,--version-script,tools/anneal.map
endif

all: $(B)/anneal $(B)/libanneal.a $(B)/$(SHLIB)

help:
	@echo "make              build $(B)/anneal and the libraries"
	@echo "make demo         install what is missing, build, train on real text, write text (TEXT=file, DEMO_ARGS=...)"
	@echo "make test         install what is missing, build, run every test"
	@echo "make quick        the tests that are not slow"
	@echo "make units        build the test programs only"
	@echo "make $(B)/plot   a table of comma-separated values as a picture (tools/plot.c)"
	@echo "make deps         install what building and testing need"
	@echo "make install      PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)"
	@echo "make fit-time     fit the constants of predicted time again (docs/time.md)"
	@echo "make docs         make the generated pages again; make check-docs says whether they are stale"
	@echo "make mac-report   on a Mac: check its Neural Engine and write a report to send in"
	@echo "make macos        cross-link for macOS on arm64; make ios builds the library for iPadOS"
	@echo "make prove        what other tools can show: casts, memory, valgrind, ownership"
	@echo "make fuzz         FUZZ_SECONDS=$(FUZZ_SECONDS) each, with clang"
	@echo "make fmt          format every file; make check-fmt only looks; make layers checks the rooms"
	@echo "make clean        remove $(B)"

# ---- what is compiled ------------------------------------------------------
# Objects are made again when the flags change, libraries when the list of
# files does: a stamp holds the words, and is touched only when they differ.
say = $(if $(V),,@echo "  $1")
stamp = @mkdir -p $(@D); echo '$1' | cmp -s - $@ || echo '$1' > $@
$(B)/flags.txt: FORCE
	$(call stamp,$(CC) $(CPPFLAGS) $(CFLAGS))
$(B)/objects.txt: FORCE
	$(call stamp,$(SRC))

# What is remembered of a machine is bound to the version.
$(B)/src/dev/known.o: CPPFLAGS += -DDEV_VERSION='"$(VERSION)"'
$(B)/src/dev/known.o: include/anneal.h
$(B)/%.o: %.c $(B)/flags.txt
	@mkdir -p $(@D)
	$(call say,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(STRICT) $(call isa,$<) -MMD -MP -c $< -o $@

$(B)/libanneal.a: $(OBJ) $(B)/objects.txt
	@rm -f $@
	$(call say,$@)
	$(Q)$(AR) rcs $@ $(OBJ)

# The command without its main(), for its own tests and tools.
$(B)/libcli.a: $(CLIOBJ) $(B)/objects.txt
	@rm -f $@
	$(call say,$@)
	$(Q)$(AR) rcs $@ $(CLIOBJ)

$(B)/$(SHLIB): $(OBJ) $(B)/objects.txt tools/anneal.map
	$(call say,$@)
	$(Q)$(CC) $(CFLAGS) $(SHFLAGS) $(OBJ) $(LDLIBS) -o $@
	@ln -sf $(SHLIB) $(B)/$(SHLINK)

$(B)/anneal: $(MAINOBJ) $(CLIOBJ) $(B)/libanneal.a
	$(call say,$@)
	$(Q)$(CC) $(CFLAGS) $(MAINOBJ) $(CLIOBJ) $(B)/libanneal.a $(LDLIBS) -o $@

# ---- tests -----------------------------------------------------------------
# Every tests/unit/*_test.c is one cmocka program; cli_* may use the command's
# own functions. *_slow_test.c and tests/e2e/*_slow.sh are left out of `quick`.
# Every tests/fuzz/*_fuzz.c becomes a test that replays its corpus.
UNITBIN := $(patsubst tests/unit/%.c,$(B)/tests/%,$(wildcard tests/unit/*_test.c))
FUZZBIN := $(patsubst tests/fuzz/%.c,$(B)/tests/%,$(wildcard tests/fuzz/*_fuzz.c))
ifneq ($(DARWIN),) # the real frameworks are there
UNITBIN := $(filter-out $(B)/tests/fake_% $(B)/tests/ane_driver%,$(UNITBIN))
endif
QUICKBIN := $(filter-out %_slow_test,$(UNITBIN)) $(FUZZBIN)
TESTCC = $(Q)mkdir -p $(@D); $(if $(V),,echo "  $@";) \
	$(CC) $(CPPFLAGS) -Itests/unit $(CFLAGS) $(STRICT) -MMD -MP -MF $@.d -MT $@

# Some run the command itself.
$(B)/tests/cli_%: tests/unit/cli_%.c $(B)/libcli.a $(B)/libanneal.a $(B)/anneal
	$(TESTCC) $< $(B)/libcli.a $(B)/libanneal.a $(LDLIBS) $(CMOCKA) -o $@
$(B)/tests/%_fuzz: tests/fuzz/%_fuzz.c $(B)/tests/fuzz/replay.o $(B)/libanneal.a
	$(TESTCC) $< $(B)/tests/fuzz/replay.o $(B)/libanneal.a $(LDLIBS) -o $@
# tests/fake/ stands in for Apple's frameworks: a library of its own, which holds
# its own copy of ours and shows only what the frameworks and fake.h do.
FAKE    := $(B)/libfakeane.so
FAKEOBJ := $(patsubst %,$(B)/%.o,$(basename $(wildcard tests/fake/*.c tests/fake/*.S)))
$(B)/%.o: %.S $(B)/flags.txt
	@mkdir -p $(@D)
	$(call say,$<)
	$(Q)$(CC) $(CFLAGS) -c $< -o $@
$(FAKE): $(FAKEOBJ) $(B)/libanneal.a
	$(call say,$@)
	$(Q)$(CC) $(CFLAGS) -shared -Wl,-Bsymbolic -Wl,--exclude-libs,ALL $(FAKEOBJ) $(B)/libanneal.a $(LDLIBS) -o $@
fake: $(FAKE)
# Tests that stand on it; elsewhere than on Linux the real frameworks are there.
ONFAKE  := $(if $(DARWIN),,$(filter $(B)/tests/fake_% $(B)/tests/ane_driver% $(B)/tests/dev_conformance%,$(UNITBIN)))
$(ONFAKE): $(B)/tests/%: tests/unit/%.c $(B)/libanneal.a $(FAKE)
	$(TESTCC) -DFAKE_LIB='"$(FAKE)"' -Itests/fake $< $(B)/libanneal.a $(LDLIBS) $(CMOCKA) -o $@
# Stand-ins for Accelerate, one for each set of symbols (tests/blas).
BLASES  := $(patsubst %,$(B)/libaccelerate_%.so,0 1 5 7 13)
$(B)/libaccelerate_%.so: tests/blas/accelerate.c $(B)/flags.txt
	$(call say,$@)
	$(Q)$(CC) $(CFLAGS) $(STRICT) -DHAS=$* -shared $< -o $@
$(B)/tests/kern_blas_test: tests/unit/kern_blas_test.c $(B)/libanneal.a $(BLASES)
	$(TESTCC) -DBLAS_LIB='"$(B)/libaccelerate_%d.so"' $< $(B)/libanneal.a $(LDLIBS) $(CMOCKA) -o $@
$(B)/tests/%: tests/unit/%.c $(B)/libanneal.a
	$(TESTCC) $< $(B)/libanneal.a $(LDLIBS) $(CMOCKA) -o $@

# Timing programs, run by hand.
$(B)/%_bench: bench/%_bench.c $(B)/libanneal.a
	$(TESTCC) $< $(B)/libanneal.a $(LDLIBS) -o $@

# A table of numbers as a picture; the code that draws is the command's.
$(B)/plot: tools/plot.c $(B)/libanneal.a
	$(TESTCC) $< $(B)/libanneal.a $(LDLIBS) -o $@

units: $(UNITBIN) $(FUZZBIN)

# Installing may change what pkg-config says, so the rest is a new make, with a
# job for each core unless the caller has chosen.
NCPU     := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
REMAKE    = $(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(NCPU))
test:
	@tools/deps.sh build test
	@$(REMAKE) all units
	@tools/run_tests.sh -b $(B) $(UNITBIN) $(FUZZBIN) $(wildcard tests/e2e/*.sh)

quick:
	@tools/deps.sh build test
	@$(REMAKE) all quick-bins
	@tools/run_tests.sh -b $(B) $(QUICKBIN) $(filter-out %_slow.sh,$(wildcard tests/e2e/*.sh))

# The quick programs without the scripts: for sanitizer builds.
quick-bins: $(QUICKBIN)

quick-units: quick-bins
	@tools/run_tests.sh -b $(B) $(QUICKBIN)

# What needs a tool that not every machine has; see tools/prove.sh.
PROOFS := $(patsubst %,prove-%,casts memory valgrind ownership)
prove: $(PROOFS)
$(PROOFS): prove-%:
	@tools/deps.sh build test check
	@env -u MAKEFLAGS -u MFLAGS tools/prove.sh $*

# libFuzzer over every target; what it finds new goes to $(B)/corpus, crashes
# to $(B)/crash-*. Copy what is worth keeping into tests/fuzz/corpus/NAME.
FUZZ_SECONDS ?= 60
fuzz:
	@tools/deps.sh build check
	@$(REMAKE) B=build-fuzz CC=clang SAN=fuzzer-no-link,address,undefined fuzz-run
fuzz-run: $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/*_fuzz.c))
	@tools/fuzz.sh $(B) $(FUZZ_SECONDS) $^
$(B)/fuzz/%: tests/fuzz/%.c $(B)/libanneal.a
	@mkdir -p $(@D)
	$(call say,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -fsanitize=fuzzer $< $(B)/libanneal.a $(LDLIBS) -o $@

deps:
	@tools/deps.sh build test

demo:
	@tools/deps.sh build
	@$(REMAKE) all
	@B='$(B)' TEXT='$(TEXT)' tools/demo.sh $(DEMO_ARGS)

# For somebody with a Mac: what its engine really does, as a file to send in.
mac-report:
	@B='$(B)' DEVICE='$(DEVICE)' ANE_LIB='$(ANE_LIB)' tools/mac_report.sh need
	@tools/deps.sh build
	@$(REMAKE) all
	@B='$(B)' DEVICE='$(DEVICE)' ANE_LIB='$(ANE_LIB)' SETTINGS='$(SETTINGS)' tools/mac_report.sh

# ---- Apple systems, from here -----------------------------------------------------
include tools/macos/macos.mk

# ---- generated pages ---------------------------------------------------------
# tools/gen_docs.c writes all pages made from the tables under the folder it is
# given: docs/*.md (kept in the tree), man/*.1 and completions/* (installed).
GEN := $(if $(wildcard tools/gen_docs.c),$(B)/gen/stamp)
$(B)/gen_docs: tools/gen_docs.c tools/time_page.h tools/fit.h $(B)/libcli.a $(B)/libanneal.a
	$(call say,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(STRICT) $< $(B)/libcli.a $(B)/libanneal.a $(LDLIBS) -o $@
$(B)/gen/stamp: $(B)/gen_docs
	@rm -rf $(B)/gen && mkdir -p $(B)/gen/docs $(B)/gen/man $(B)/gen/completions
	@$(B)/gen_docs $(B)/gen
	@touch $@
docs: $(GEN)
	@for f in $(B)/gen/docs/*.md; do [ ! -f "$$f" ] || cp "$$f" docs/; done
check-docs: $(GEN)
	@bad=0; for f in $(B)/gen/docs/*.md; do [ -f "$$f" ] || continue; \
	  diff -u "docs/$${f##*/}" "$$f" || { echo "docs/$${f##*/} is stale; run: make docs"; bad=1; }; \
	done; exit $$bad

# The constants of the model of time, from the published timings in
# src/plan/anchors.def that are not held out (docs/time.md).
$(B)/fit_time: tools/fit_time.c tools/fit.h $(B)/libanneal.a
	$(call say,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(STRICT) $< $(B)/libanneal.a $(LDLIBS) -o $@
fit-time: $(B)/fit_time
	@$(B)/fit_time src/dev/cost.def

# ---- installing ----------------------------------------------------------------
D = $(DESTDIR)$(PREFIX)
install: all $(GEN)
	install -d $(D)/bin $(D)/include $(D)/lib/pkgconfig
	install -m 755 $(B)/anneal $(D)/bin/anneal
	install -m 644 include/anneal.h $(D)/include/anneal.h
	install -m 644 $(B)/libanneal.a $(D)/lib/libanneal.a
	install -m 755 $(B)/$(SHLIB) $(D)/lib/$(SHLIB)
	ln -sf $(SHLIB) $(D)/lib/$(SHLINK)
	sed -e 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|; s|@PKGS@|$(PKGS)|' tools/anneal.pc.in > $(D)/lib/pkgconfig/anneal.pc
	@for f in $(B)/gen/man/*.1; do [ ! -f "$$f" ] || \
	  { install -d $(D)/share/man/man1; install -m 644 "$$f" $(D)/share/man/man1/; }; done
	@f=$(B)/gen/completions/anneal.bash; [ ! -f $$f ] || \
	  { install -d $(D)/share/bash-completion/completions; \
	    install -m 644 $$f $(D)/share/bash-completion/completions/anneal; }
	@f=$(B)/gen/completions/_anneal; [ ! -f $$f ] || \
	  { install -d $(D)/share/zsh/site-functions; install -m 644 $$f $(D)/share/zsh/site-functions/_anneal; }
	@if [ -d recipes ]; then install -d $(D)/share/anneal/recipes; \
	  for f in recipes/*.conf; do [ ! -f "$$f" ] || install -m 644 "$$f" $(D)/share/anneal/recipes/; done; fi

# ---- looking after the tree ------------------------------------------------------
SOURCES = git ls-files '*.c' '*.h'
fmt:
	$(SOURCES) | xargs clang-format -i
check-fmt:
	@$(SOURCES) | { bad=0; while read -r f; do clang-format "$$f" | cmp -s - "$$f" || \
	  { echo "$$f: not in the house's layout; run: make fmt"; bad=1; }; done; exit $$bad; }
layers:
	tools/layers.sh

clean:
	rm -rf $(B)

.PHONY: mac-report all help units fake prove $(PROOFS) test quick quick-bins quick-units fuzz fuzz-run deps demo docs check-docs fit-time install fmt check-fmt layers clean FORCE
.SECONDARY:
-include $(OBJ:.o=.d) $(CLIOBJ:.o=.d) $(MAINOBJ:.o=.d) $(UNITBIN:=.d) $(FUZZBIN:=.d) $(FAKEOBJ:.o=.d) $(B)/tests/fuzz/replay.d
