# KSI: `make up` and `make test` are the two commands to know; `make` alone lists all.
# WORKERS= API= NATS= CONCURRENCY= BRIDGE= are shorthands for KSI_* variables (README, Configuration), which work as well.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --no-builtin-rules

export KSI_WORKERS := $(or $(WORKERS),$(KSI_WORKERS))
export KSI_APIS := $(or $(API),$(KSI_APIS))
export KSI_NATS_SERVERS := $(or $(NATS),$(KSI_NATS_SERVERS))
export KSI_CONCURRENCY := $(or $(CONCURRENCY),$(KSI_CONCURRENCY))
export KSI_BRIDGE := $(or $(BRIDGE),$(KSI_BRIDGE))

CLI := dist/src/cli/main.js
KSI := node $(CLI)
# Says every ten seconds that a long step goes on.
heartbeat = (trap 'kill $$!; exit' TERM; while :; do sleep 10 & wait $$!; echo "  $(1), $$SECONDS s so far" >&2; done) & beat=$$!; trap 'kill $$beat' EXIT;
SOURCES := $(shell find contracts src workers test docs/examples -name "*.ts" 2>/dev/null) $(shell find src/prompts/library -type f 2>/dev/null) package.json tsconfig.json
INSTALLED := node_modules/.package-lock.json
BUILT := dist/.built

.PHONY: help node packages install build usable FORCE up restart down status logs demo test bench chaos soak interop audit lint format

help: ## This list
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' Makefile
	@echo '  For example: make up WORKERS=4 CONCURRENCY=8, or make up NATS=3 for a broker that is a cluster'

node:
	@command -v node >/dev/null || { echo 'KSI needs Node 20.19 or later, and there is no node on PATH: https://nodejs.org/download' >&2; exit 1; }
	@node -e 'const [a,b]=process.versions.node.split(".").map(Number); if (a<20||(a===20&&b<19)) { console.error("KSI needs Node 20.19 or later; this is "+process.version+" ("+process.execPath+"): https://nodejs.org/download"); process.exit(1) }'
	@command -v npm >/dev/null || { echo 'KSI needs npm, which comes with Node, on PATH.' >&2; exit 1; }

packages: node $(INSTALLED) ## Install the packages of package-lock.json

# An installation without the compiler, as NODE_ENV=production or omit=dev makes it, is repaired.
$(INSTALLED): package-lock.json $(if $(wildcard node_modules/typescript/bin/tsc),,FORCE) | node
	@echo 'Installing the packages (npm ci). The first time this takes a minute or more.' >&2
	@$(call heartbeat,still installing) npm ci --include=dev --include=optional --no-audit --no-fund --loglevel=error >&2
	@touch $@

FORCE:

build: packages $(BUILT) ## Compile into dist/

$(BUILT): $(INSTALLED) $(SOURCES)
	@echo 'Compiling into dist/ (npm run build)' >&2
	@$(call heartbeat,still compiling) npm run --silent build >&2
	@touch $@

PREFIX ?= $(HOME)/.local

# The executable is a link: `git pull` and `make build` update it.
install: build ## Install ksi, its man page and completions below PREFIX (~/.local)
	@mkdir -p $(addprefix "$(PREFIX)"/,bin share/man/man1 share/bash-completion/completions share/zsh/site-functions share/fish/vendor_completions.d)
	@ln -sfn "$(CURDIR)/$(CLI)" "$(PREFIX)/bin/ksi"
	@install -m 644 man/ksi.1 "$(PREFIX)/share/man/man1/ksi.1"
	@$(KSI) completion bash >"$(PREFIX)/share/bash-completion/completions/ksi"
	@$(KSI) completion zsh >"$(PREFIX)/share/zsh/site-functions/_ksi"
	@$(KSI) completion fish >"$(PREFIX)/share/fish/vendor_completions.d/ksi.fish"
	@echo 'Installed $(PREFIX)/bin/ksi'
	@case ":$$PATH:" in *":$(PREFIX)/bin:"*) ;; *) echo 'Add it to your PATH: export PATH="$(PREFIX)/bin:$$PATH"';; esac

# Commands that use a running cluster need its code, and leave it as it is.
usable: node
	@[ -e $(CLI) ] || $(MAKE) build

up: build ## Start nats-server, APIs and workers; returns when they are ready
	@$(KSI) up

restart: build ## Restart APIs and workers one after the other: new code, new settings
	@$(KSI) restart

down: usable ## Stop them in order
	@$(KSI) down

status: usable ## Show the processes
	@$(KSI) status

logs: usable ## Follow the processes' logs
	@$(KSI) logs -f

demo: build ## The same cluster with a stand-in for the Messages API: no key, no cost, no model
	@$(KSI) up --demo

soak: build ## Use a cluster in every way for MINUTES=20 and check that nothing grows (RATE=)
	@node --enable-source-maps dist/test/soak/main.js --minutes $(or $(MINUTES),20) $(if $(RATE),--rate $(RATE)) $(if $(NATS),--servers $(NATS))

interop: build ## Generate clients from the OpenAPI document with three generators and run a task with each (npm, pip)
	@node --enable-source-maps dist/test/interop/main.js

audit: build ## Ask for advisories about the packages that KSI ships
	@node dist/test/advisories.js

test: build ## All that CI checks
	@npm run --silent format:check >/dev/null || { echo 'Some files are not formatted: make format' >&2; exit 1; }
	@npm run --silent lint
	@npm run --silent docs:check
	@npm run --silent docs:sdk
	@npm run --silent dead
	@node dist/test/advisories.js
	@node dist/test/tools.js
	@npm test --silent

bench: build ## Measure, against baselines of the same machine and run
	@node dist/test/bench/main.js

chaos: build ## Kill and freeze processes at random under load, and check that nothing was lost (SECONDS= SEED= RATE= NATS=)
	@node --enable-source-maps dist/test/chaos/main.js --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED)) $(if $(RATE),--rate $(RATE)) $(if $(NATS),--servers $(NATS))

lint: build ## Static checks
	@npm run --silent lint

format: packages ## Format all files
	@npm run --silent format
