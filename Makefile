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

.PHONY: all $(KBUILD_TARGETS) clean kdir install install-module install-taskmon taskmon demo exercise test test-taskmon test-prometheus test-plot test-top test-the-tests test-install matrix soak bench bench-allocators bench-taskmon shell lint doc deb doctor help
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

# --- What has been built, into the system, or below DESTDIR for whoever packages it.

DESTDIR ?=
prefix ?= /usr/local
bindir ?= $(prefix)/bin
mandir ?= $(prefix)/share/man
docdir ?= $(prefix)/share/doc/taskmon
bashdir ?= $(prefix)/share/bash-completion/completions
zshdir ?= $(prefix)/share/zsh/site-functions
fishdir ?= $(prefix)/share/fish/vendor_completions.d
INSTALL ?= install

# (The module goes where modules_install puts all of them; INSTALL_MOD_DIR= and its like are Kbuild's.)
install: install-taskmon $(if $(wildcard taskmonitor.ko),install-module)

install-module: kdir-found
	$(MAKE) -C $(KDIR) M=$(CURDIR) $(if $(DESTDIR),INSTALL_MOD_PATH=$(DESTDIR)) modules_install
	$(INSTALL) -D -m 644 docs/taskmonitor.4 $(DESTDIR)$(mandir)/man4/taskmonitor.4

install-taskmon:
	@[ -e build/taskmon/built-using ] || { echo >&2 'There is no build/taskmon/taskmon: run "make taskmon" first.'; exit 1; }
	$(INSTALL) -D -m 755 build/taskmon/taskmon $(DESTDIR)$(bindir)/taskmon
	$(INSTALL) -d $(DESTDIR)$(mandir)/man1
	$(INSTALL) -m 644 build/taskmon/man/*.1 $(DESTDIR)$(mandir)/man1
	$(INSTALL) -D -m 644 build/taskmon/completions/taskmon.bash $(DESTDIR)$(bashdir)/taskmon
	$(INSTALL) -D -m 644 build/taskmon/completions/_taskmon $(DESTDIR)$(zshdir)/_taskmon
	$(INSTALL) -D -m 644 build/taskmon/completions/taskmon.fish $(DESTDIR)$(fishdir)/taskmon.fish
	$(INSTALL) -D -m 644 build/taskmon/crates.txt $(DESTDIR)$(docdir)/crates.txt

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

bench-taskmon:
	@tests/bench-taskmon

help:
	@echo 'On this machine, for the kernel $(RELEASE):'
	@echo '  make                 taskmonitor.ko; needs a KDIR with Rust metadata'
	@echo '  make kdir            makes one, where the headers have none (Debian)'
	@echo '  make taskmon         taskmon, the companion: a static program, its manual pages and completions, in build/taskmon'
	@echo '  make install         taskmon, and the module if make has built it; DESTDIR=FOLDER prefix=/usr/local'
	@echo '  make deb             the packages taskmonitor-dkms and taskmon, in build/deb'
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
	@echo '  make test-taskmon    the tests of taskmon that need no kernel (the others are in make test); NAMES="rate times"'
	@echo '  make test-plot       what the pictures of taskmon look like, by their pixels'
	@echo '  make test-top        taskmon top in a terminal (tmux), its screens compared; NAMES="screens" only these'
	@echo '  make test-prometheus a real Prometheus and node_exporter get what taskmon exports'
	@echo '  make test-the-tests  makes mistakes, and sees them caught; MISTAKES="double-put" only these'
	@echo '  make test-install    installs the packages in a clean Debian folder, and boots that'
	@echo '  make matrix          builds and tests for kernels of several suites; KERNELS="forky trixie:newest" only these'
	@echo '  make soak            what takes hours: 1000 loads and unloads, a million random commands, KCSAN, ...'
	@echo '  make bench           measures what it costs, and others beside it; BENCH="rounds reading" only that'
	@echo '  make bench-allocators   what an object costs from each allocator of the kernel'
	@echo '  make bench-taskmon   what following 1,000 tasks costs, by taskmon and by pidstat'
	@echo '  make lint            rustfmt, clippy, modpost, rustdoc, shellcheck, mandoc'
	@echo '  make doc             rustdoc of the crate, in build/doc'
	@echo '  variables: KERNEL=KERNEL SUITE=SUITE RELEASE=RELEASE MIRROR=ADDRESS (see scripts/lib.sh)'
