# macos.mk - building for Apple systems on any machine with clang and lld.
#
#   make macos   $(B)/macos/anneal, libanneal.a, libanneal.N.dylib   (arm64)
#   make ios     $(B)/ios/libanneal.a                                (arm64, iPadOS)
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

.PHONY: macos ios apple-headers
