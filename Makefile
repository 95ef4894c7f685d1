# anneal. `make` builds build/anneal and build/libanneal.a; `make help` lists the rest.
# Nothing here beyond GNU make 3.81.
B        ?= build
CC       ?= cc
ifeq ($(origin CC),default)
CC       := cc
endif
OPT      ?= -O2
WARN     := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter
ifneq ($(WERROR),)
WARN     += -Werror
endif
PKGS     := jansson libxxhash libpcre2-8
SAN      ?=
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
PKGFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKGLIBS  := $(shell pkg-config --libs $(PKGS) 2>/dev/null || echo -ljansson -lxxhash -lpcre2-8)
CPPFLAGS := -Isrc -Iinclude -D_GNU_SOURCE -DXXH_STATIC_LINKING_ONLY $(PKGFLAGS) $(DEFS)
CFLAGS   := -std=c11 $(OPT) -g -pthread -fvisibility=hidden -fPIC -ffp-contract=off $(WARN) $(SANFLAGS)
LDLIBS   := $(PKGLIBS) -lm -pthread -ldl
ARCH     := $(shell $(CC) -dumpmachine | cut -d- -f1)

SRC := $(wildcard src/*/*.c src/dev/*/*.c)
CLI := $(filter src/cli/%,$(SRC))
LIB := $(filter-out src/cli/%,$(SRC))
OBJ := $(LIB:%.c=$(B)/%.o)
CLIOBJ := $(CLI:%.c=$(B)/%.o)

# A file named *_avx512.c, *_avx2.c or *_neon.c is compiled for that set only,
# chosen at run time; on another architecture it compiles to nothing.
ISA_avx512 := -O3 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx2 -mfma -mf16c -ffp-contract=off
ISA_avx2   := -O3 -mavx2 -mfma -mf16c -ffp-contract=off
ISA_neon   := -O3
isa = $(if $(filter x86_64,$(ARCH)),$(if $(findstring _avx512,$1),$(ISA_avx512),$(if $(findstring _avx2,$1),$(ISA_avx2))),$(if $(findstring _neon,$1),$(ISA_neon)))

all: $(B)/anneal $(B)/libanneal.a

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(call isa,$<) -MMD -MP -c $< -o $@

$(B)/libanneal.a: $(OBJ)
	@rm -f $@
	ar rcs $@ $(OBJ)

$(B)/anneal: $(CLIOBJ) $(B)/libanneal.a
	$(CC) $(CFLAGS) $(CLIOBJ) $(B)/libanneal.a $(LDLIBS) -o $@

# Tests: every tests/unit/*_test.c is one cmocka program.
UNIT := $(wildcard tests/unit/*_test.c)
UNITBIN := $(UNIT:tests/unit/%.c=$(B)/tests/%)
$(B)/tests/%: tests/unit/%.c $(wildcard tests/unit/*.h) $(B)/libanneal.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Itests/unit $(CFLAGS) $< $(B)/libanneal.a $(LDLIBS) -lcmocka -o $@

units: $(UNITBIN)

clean:
	rm -rf $(B)

.PHONY: all units clean
.SECONDARY:
-include $(OBJ:.o=.d) $(CLIOBJ:.o=.d)
