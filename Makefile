# SPDX-License-Identifier: GPL-2.0-only
#
# `make help` lists the targets. Kbuild does not read this file: it reads the file named Kbuild.
#
# This file builds the module as Kbuild builds any out-of-tree module. All that needs Debian's compilers
# or a virtual machine is done by a script, which also runs without make.

RELEASE ?= $(shell uname -r)

# KDIR must hold Rust metadata: the headers of the distribution, or else the newest that `make rust-headers` made.
ifeq ($(origin KDIR),undefined)
KDIR := $(patsubst %/rust/libkernel.rmeta,%,$(wildcard /lib/modules/$(RELEASE)/build/rust/libkernel.rmeta))
ifeq ($(KDIR),)
cache := $(or $(TASKMONITOR_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/taskmonitor)
KDIR := $(patsubst %/complete,%/build,$(shell \
	ls -t '$(cache)/kernel/$(RELEASE)-'????????????/complete 2>/dev/null | head -n 1))
endif
endif

# Targets of Kbuild, called with all variables that were given to make (V=1, CLIPPY=1, W=1, ...).
KBUILD_TARGETS := modules modules_install rust-analyzer nsdeps compile_commands.json

.PHONY: all $(KBUILD_TARGETS) clean rust-headers install install-module install-taskmon taskmon demo exercise test test-taskmon test-prometheus test-plot test-top mutation-test test-install test-kernels soak bench bench-allocators bench-taskmon shell lint doc deb doctor help
all: modules

$(KBUILD_TARGETS): kdir-found
	$(MAKE) -C $(KDIR) M=$(CURDIR) $@

.PHONY: kdir-found
kdir-found:
	@[ -n '$(KDIR)' ] || { echo >&2 'Rust metadata of the kernel $(RELEASE) is missing: its headers have none. Fix: make rust-headers (as root, unless this machine runs the Debian suite of the kernel), or set KDIR=DIRECTORY to a kernel tree that has it.'; exit 1; }

clean:
	$(if $(KDIR),$(MAKE) -C $(KDIR) M=$(CURDIR) $@)
	rm -rf build

rust-headers:
	@scripts/rust-headers --running

# --- Installs what was built: into the system, or under DESTDIR for a package.

DESTDIR ?=
prefix ?= /usr/local
bindir ?= $(prefix)/bin
mandir ?= $(prefix)/share/man
docdir ?= $(prefix)/share/doc/taskmon
bashdir ?= $(prefix)/share/bash-completion/completions
zshdir ?= $(prefix)/share/zsh/site-functions
fishdir ?= $(prefix)/share/fish/vendor_completions.d
INSTALL ?= install

# modules_install decides where the module goes (INSTALL_MOD_DIR= and similar variables are Kbuild's).
install: install-taskmon $(if $(wildcard taskmonitor.ko),install-module)

install-module: kdir-found
	$(MAKE) -C $(KDIR) M=$(CURDIR) $(if $(DESTDIR),INSTALL_MOD_PATH=$(DESTDIR)) modules_install
	$(INSTALL) -D -m 644 docs/taskmonitor.4 $(DESTDIR)$(mandir)/man4/taskmonitor.4

# Its name ends with -ARCH for another architecture than that of this machine (scripts/arch.sh).
install-taskmon: taskmon = build/taskmon$(shell ARCH='$(ARCH)' bash -c 'source scripts/arch.sh && die() { exit 1; } && FLAVOUR= RELEASE= && arch_open && echo "$$CROSS"')
install-taskmon:
	@[ -e $(taskmon)/built-using ] || { echo >&2 'taskmon is not built. Fix: make taskmon$(if $(ARCH), ARCH=$(ARCH))'; exit 1; }
	$(INSTALL) -D -m 755 $(taskmon)/taskmon $(DESTDIR)$(bindir)/taskmon
	$(INSTALL) -d $(DESTDIR)$(mandir)/man1
	$(INSTALL) -m 644 $(taskmon)/man/*.1 $(DESTDIR)$(mandir)/man1
	$(INSTALL) -D -m 644 $(taskmon)/completions/taskmon.bash $(DESTDIR)$(bashdir)/taskmon
	$(INSTALL) -D -m 644 $(taskmon)/completions/_taskmon $(DESTDIR)$(zshdir)/_taskmon
	$(INSTALL) -D -m 644 $(taskmon)/completions/taskmon.fish $(DESTDIR)$(fishdir)/taskmon.fish
	$(INSTALL) -D -m 644 $(taskmon)/crates.txt $(DESTDIR)$(docdir)/crates.txt

taskmon demo exercise shell lint doc deb:
	@scripts/$@

test:
	@tests/run $(TESTS)

test-taskmon:
	@tests/taskmon $(NAMES)

doctor:
	@scripts/doctor $(if $(JSON),--json) $(RELEASE)

test-top:
	@tests/taskmon-top $(NAMES)

test-prometheus:
	@tests/taskmon-prometheus

test-plot:
	@tests/taskmon-plot

test-install:
	@tests/install $(STEPS)

test-kernels:
	@tests/test-kernels $(KERNELS)

mutation-test:
	@tests/mutation-test $(MUTATIONS) $(MISTAKES)

soak:
	@tests/soak

bench:
	@tests/bench $(BENCH)

bench-allocators:
	@tests/bench-allocators

bench-taskmon:
	@tests/bench-taskmon

# --- Old names of targets and of MUTATIONS=, until 1.0.

.PHONY: kdir matrix test-the-tests
kdir: rust-headers
matrix: test-kernels
test-the-tests: mutation-test

help:
	@echo 'Build and install, for the kernel $(RELEASE):'
	@echo '  make                  build taskmonitor.ko; needs a KDIR with Rust metadata'
	@echo '  make rust-headers     make this KDIR, if the kernel headers have no Rust metadata (Debian)'
	@echo '  make taskmon          build the command line companion, its manual pages and completions in build/taskmon (-ARCH)'
	@echo '  make install          install taskmon, and the module if it is built'
	@echo '  make deb              build the packages taskmonitor-dkms and taskmon in build/deb (-ARCH)'
	@echo '  make doctor           check that the module can be built, signed, loaded and used here; print fixes'
	@echo '  make clean            remove what was built; modules_install, rust-analyzer, nsdeps and'
	@echo '                        compile_commands.json work as for other out-of-tree modules'
	@echo
	@echo 'Try it, in a virtual machine with a stock Debian kernel:'
	@echo '  make demo             show the module at work'
	@echo '  make shell            start a shell with the module loaded'
	@echo '  make exercise         show the answers of docs/exercise.md'
	@echo
	@echo 'Test:'
	@echo '  make test             run the tests of the module and of taskmon in virtual machines'
	@echo '  make test-taskmon     run the tests of taskmon that need no kernel'
	@echo '  make test-top         run taskmon top in a terminal (tmux) and compare its screens'
	@echo '  make test-plot        check the pixels of the pictures that taskmon draws'
	@echo '  make test-prometheus  let a real Prometheus and node_exporter read what taskmon exports'
	@echo '  make test-install     install the packages in a clean Debian system, boot it, remove them'
	@echo '  make test-kernels     build and test the module for kernels of several Debian suites and flavours'
	@echo '  make mutation-test    put deliberate bugs into the module; the tests must catch each'
	@echo '  make soak             run the tests that take hours'
	@echo '  make lint             run all static checks: format, clippy, shellcheck, manuals, spelling, prose, links, ...'
	@echo
	@echo 'Measure and document:'
	@echo '  make bench            measure what the module costs, and compare it with other tools'
	@echo '  make bench-allocators measure what an object costs from each kernel allocator'
	@echo '  make bench-taskmon    measure what it costs taskmon and pidstat to follow 1,000 tasks'
	@echo '  make doc              build the rustdoc of the module in build/doc'
	@echo
	@echo 'Choose a part:'
	@echo '  make test TESTS="load races:lives_of_all_kinds"'
	@echo '  make test-taskmon NAMES="rate times"    make test-top NAMES="screens"'
	@echo '  make test-install STEPS="the_package"   make test-kernels KERNELS="forky trixie:rt-amd64"'
	@echo '  make mutation-test MUTATIONS="double-put"   make bench BENCH="rounds reading"'
	@echo
	@echo 'Variables:'
	@echo '  KDIR=DIRECTORY RELEASE=RELEASE CLIPPY=1 V=1   make: the kernel to build for; all variables of Kbuild work'
	@echo '  DESTDIR=DIRECTORY prefix=/usr/local           make install'
	@echo '  JSON=1                                        make doctor: print JSON'
	@echo '  GDB=1                                         make shell: gdb can attach'
	@echo '  KERNEL=debug                                  make test, exercise: a kernel with KASAN, lockdep, kmemleak,'
	@echo '                                                KUnit and fault injection'
	@echo '  KERNEL=kcsan                                  make test: only concurrent tests, on a kernel with KCSAN'
	@echo '  SUITE=SUITE RELEASE=RELEASE MIRROR=ADDRESS    the Debian kernel of the virtual machine (see scripts/lib.sh)'
	@echo '  ARCH=arm64                                    make test, shell, taskmon, deb: for arm64 (cross-compiled, emulated)'
	@echo '  FLAVOUR=cloud                                 make test, shell: another kernel of Debian: cloud, rt, or 16k (arm64);'
	@echo '                                                FLAVOUR=rt KERNEL=debug: the kernel with KASAN, and PREEMPT_RT'
