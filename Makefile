# SPDX-License-Identifier: GPL-2.0-only
#
# The commands of this repository; "make help" lists them. They run in the
# build environment that scripts/enter finds or makes.

E := scripts/enter

.DEFAULT_GOAL := help
# The steps share the tree, the build folders and the machine's CPUs.
.NOTPARALLEL:

help: ## list the commands
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' Makefile | expand -t 20

run: ## build kernel and bcctl, boot them, run the demonstration
	$(E) scripts/run

check: ## what needs no kernel build: series, style, tables, counts
	$(E) tests/run check

test: ## check, host tests and the default kernel's tests in a guest
	$(E) tests/run check build host vm

test-debug: ## the debug kernel's tests, then test-off
	$(E) tests/run --result test-debug debug
	$(MAKE) test-off

test-off: ## with BC off the whole kernel is that of the unpatched tree
	$(E) tests/run --result test-off off

test-um: ## the KUnit suites in user-mode Linux
	$(E) tests/run --result test-um um

test-matrix: ## kernel memory with other boot options and allocators
	$(E) tests/run --result test-matrix matrix

test-bombs: ## 41 ways to pile up kernel memory: is all of it charged
	$(E) tests/run --result test-bombs bombs

test-loads: ## real programs in beancounters (installs them into the build root)
	$(E) tests/run --result test-loads loads

bench: ## what it costs, in instructions, beside control groups
	$(E) tests/run --result bench bench

test-docs: ## the documents of the series, with Sphinx
	$(E) tests/run --result test-docs docs

mutants: ## change the policy's code in many ways: does a test see each?
	$(E) tests/run --result mutants mutants

bisect: ## build and boot every prefix of the series
	$(E) tests/run --result bisect bisect

tree: ## make or update the patched tree build/linux
	$(E) scripts/tree

export: ## turn the tree's commits into patches/ and series
	$(E) scripts/export

build: tree ## build the default kernel
	$(E) scripts/build default

bcctl-bin: ## build bcctl as build/bin/bcctl
	$(E) scripts/bcctl

clean: ## remove what was built, but no working tree
	rm -rf $(filter-out $(patsubst %/.git,%,$(wildcard build/*/.git)),$(wildcard build/*)) build/linux-base

.PHONY: help run check test test-debug test-off test-um test-matrix test-bombs test-loads test-docs bench mutants bisect tree export build bcctl-bin clean
