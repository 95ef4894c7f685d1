# macos.mk - building for Apple systems on any machine with clang and lld.
#
#   make macos   $(B)/macos/anneal, libanneal.a, libanneal.N.dylib   (arm64)
#   make ios     $(B)/ios/libanneal.a                                (arm64, iPadOS)
#   make loader  $(B)/arm64/loader: runs what `make macos` made on Linux for arm64,
#                or here with qemu-aarch64, against tests/fake
#
# Each is this same Makefile with another compiler and folder. What Apple's SDK
# would give comes from tools/macos/sdk, all of it our own: declarations in
# usr/include, lists of names to link against in usr/lib. Three more libraries
# are lists of names too (usr/local/lib), because on a Mac the real ones come
# from Homebrew; their headers are the ones installed here.
APPLE_SDK  := $(CURDIR)/tools/macos/sdk
APPLE_HEAD := jansson.h jansson_config.h xxhash.h pcre2.h
apple_make  = $(REMAKE) B=$(B)/$1 TARGET=arm64-apple-darwin \
	CC='clang -target arm64-apple-$2 -isysroot $(APPLE_SDK)' AR='llvm-ar --format=darwin' \
	PKGFLAGS=-I$(B)/apple-include PKGLIBS='-fuse-ld=lld -ljansson -lxxhash -lpcre2-8'

macos: apple-headers
	+@$(call apple_make,macos,macos13.0) all
ios: apple-headers
	+@$(call apple_make,ios,ios16.0) $(B)/ios/libanneal.a

# Links to the four headers alone: the folder they are in belongs to this system.
apple-headers:
	@tools/deps.sh build check
	@mkdir -p $(B)/apple-include
	@dirs="$$(for p in $(PKGS); do pkg-config --variable=includedir $$p; done) /usr/include"; \
	for h in $(APPLE_HEAD); do \
	  for d in $$dirs; do [ ! -f $$d/$$h ] || ln -sf $$d/$$h $(B)/apple-include/$$h; done; \
	done

# ---- running it without a Mac ---------------------------------------------------
# The loader is one static program for arm64 Linux: tests/macho, the fake
# frameworks with the engine behind them, and the three libraries. What it can
# give by name is listed in names.c, from the symbols of those objects.
ARM64      := $(B)/arm64
ARM64_LIB   = $(ARM64)/root/usr/lib/aarch64-linux-gnu
arm64_make  = $(REMAKE) B=$(ARM64) CC=aarch64-linux-gnu-gcc AR=aarch64-linux-gnu-ar CBLAS= \
	PKGFLAGS="-I$(ARM64)/root/usr/include -Itests/cross" CMOCKA= \
	PKGLIBS='-static $(patsubst %,$(ARM64_LIB)/%.a,libjansson libxxhash libpcre2-8)'

# arm64 WHAT="PROGRAM...": anything of this Makefile, for arm64 Linux.
arm64:
	@tools/deps.sh build arm64
	@tools/macos/arm64_libs.sh $(ARM64)
	+@$(arm64_make) $(WHAT)
loader:
	+@$(MAKE) --no-print-directory arm64 WHAT=$(ARM64)/loader

LOADEROBJ := $(patsubst %.c,$(B)/%.o,$(wildcard tests/macho/l*.c tests/macho/files.c tests/macho/process.c))
names_of   = readelf -sW $1 | awk '$$5 == "GLOBAL" && $$6 == "DEFAULT" && $$7 != "UND" && \
	$$8 ~ /^[A-Za-z_0-9]+$$/ { print $$8 }' | sort -u
$(B)/names.c: $(FAKEOBJ)
	@{ echo '#include "tests/macho/loader.h"'; \
	  for part in 'fake $(FAKEOBJ)' 'library $(filter %.a,$(PKGLIBS))'; do \
	    set -- $$part; list=$$1_names; shift; \
	    names=$$($(call names_of,"$$@")); \
	    for n in $$names; do echo "extern char $$n[];"; done; \
	    echo "const loader_name $$list[] = {"; \
	    for n in $$names; do echo "    {\"$$n\", $$n},"; done; \
	    echo '    {NULL, NULL},'; echo '};'; \
	  done; } >$@
$(B)/names.o: $(B)/names.c
	$(Q)$(CC) $(CPPFLAGS) -I. $(CFLAGS) -c $< -o $@
$(LOADEROBJ): CFLAGS += -Wno-pedantic
$(B)/loader: $(LOADEROBJ) $(FAKEOBJ) $(B)/names.o $(B)/libanneal.a
	$(call say,$@)
	$(Q)$(CC) $(CFLAGS) $^ $(LDLIBS) -o $@

.PHONY: macos ios apple-headers arm64 loader
