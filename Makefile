# SPDX-License-Identifier: GPL-2.0-only
#
# `make help` says what there is. Kbuild has a file of its own and does not read this one.
#
# The module alone is built like any other out-of-tree module. Everything that needs Debian's
# compilers or a virtual machine is a script, which can be called without make, too.

RELEASE ?= $(shell uname -r)

# A KDIR must hold Rust metadata: the distribution's, or the one that `make kdir` made (the newest).
ifeq ($(origin KDIR),undefined)
KDIR := $(patsubst %/rust/libkernel.rmeta,%,$(wildcard /lib/modules/$(RELEASE)/build/rust/libkernel.rmeta))
ifeq ($(KDIR),)
cache := $(or $(TASKMONITOR_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/taskmonitor)
KDIR := $(patsubst %/complete,%/build,$(shell \
	ls -t '$(cache)/kernel/$(RELEASE)-'????????????/complete 2>/dev/null | head -n 1))
endif
endif

# What goes to Kbuild as it is, with everything that was given to make (V=1, CLIPPY=1, W=1, ...).
KBUILD_TARGETS := modules modules_install rust-analyzer nsdeps compile_commands.json

.PHONY: all $(KBUILD_TARGETS) clean kdir demo exercise test test-the-tests test-install matrix soak bench bench-allocators shell lint doc deb doctor help
all: modules

$(KBUILD_TARGETS): kdir-found
	$(MAKE) -C $(KDIR) M=$(CURDIR) $@

.PHONY: kdir-found
kdir-found:
	@[ -n '$(KDIR)' ] || { echo >&2 'The headers of the kernel $(RELEASE) have no Rust metadata: run "make kdir" to make some (as root, if this is not the Debian that the kernel is from), or give KDIR=FOLDER of a kernel tree that has.'; exit 1; }

clean:
	$(if $(KDIR),$(MAKE) -C $(KDIR) M=$(CURDIR) $@)
	rm -rf build

kdir:
	@scripts/kdir --running

demo exercise shell lint doc deb:
	@scripts/$@

test:
	@tests/run $(TESTS)

doctor:
	@scripts/doctor $(if $(JSON),--json) $(RELEASE)

test-install:
	@tests/install $(STEPS)

matrix:
	@tests/matrix $(KERNELS)

test-the-tests:
	@tests/test-the-tests $(MISTAKES)

soak:
	@tests/soak

bench:
	@tests/bench $(BENCH)

bench-allocators:
	@tests/bench-allocators

help:
	@echo 'On this machine, for the kernel $(RELEASE):'
	@echo '  make                 taskmonitor.ko; needs a KDIR with Rust metadata'
	@echo '  make kdir            makes one, where the headers have none (Debian)'
	@echo '  make deb             the package taskmonitor-dkms, in build/deb'
	@echo '  make doctor          says what is lacking to build, sign, load and use the module, and what mends it'
	@echo '  make modules_install, clean, rust-analyzer, nsdeps, compile_commands.json'
	@echo '                       as for every out-of-tree module'
	@echo '  variables: KDIR=FOLDER RELEASE=RELEASE CLIPPY=1 V=1, and all others of Kbuild'
	@echo
	@echo 'In a virtual machine, with a stock Debian kernel if KERNEL does not say otherwise:'
	@echo '  make demo            shows the module at work'
	@echo '  make exercise        shows the answers of docs/exercise.md; KERNEL=debug: those that need its checkers'
	@echo '  make shell           an interactive shell with the module loaded; GDB=1: gdb can attach'
	@echo '  make test            runs the tests; TESTS="load races:lives_of_all_kinds" only these'
	@echo '  make test KERNEL=debug   the same on a kernel with KASAN, lockdep, kmemleak, KUnit, and'
	@echo '                       allocations that fail; KERNEL=kcsan: the concurrent ones under KCSAN'
	@echo '  make test-the-tests  makes mistakes, and sees them caught; MISTAKES="double-put" only these'
	@echo '  make test-install    installs the package in a clean Debian folder, and boots that'
	@echo '  make matrix          builds and tests for kernels of several suites; KERNELS="forky trixie:newest" only these'
	@echo '  make soak            what takes hours: 1000 loads and unloads, a million random commands, KCSAN, ...'
	@echo '  make bench           measures what it costs, and others beside it; BENCH="rounds reading" only that'
	@echo '  make bench-allocators   what an object costs from each allocator of the kernel'
	@echo '  make lint            rustfmt, clippy, modpost, rustdoc, shellcheck, mandoc'
	@echo '  make doc             rustdoc of the crate, in build/doc'
	@echo '  variables: KERNEL=KERNEL SUITE=SUITE RELEASE=RELEASE MIRROR=ADDRESS (see scripts/lib.sh)'
