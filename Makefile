# docflow: what a developer or an operator runs. `make help` lists it.
#
# Nothing needs installing by hand: each target first makes .venv from the hashed locks (seconds when
# it is there), and `make test` adds the Debian tools that the tests compare docflow with.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
RUNTIME := .venv/.runtime-ready
DEV := .venv/.dev-ready
LOCKS := requirements
OPENAPI := openapi/docflow.v1.json
# Between 2 and 4 test processes: each keeps a PostgreSQL of its own.
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$(( n < 2 ? 2 : n > 4 ? 4 : n )))
# What is passed on to the program: make demo ARGS="--port 9000", make test ARGS="tests/unit -k number"
ARGS ?=

##@ Use docflow

.PHONY: demo
demo: $(RUNTIME) ## Play both procedures over HTTP, from a bare clone; results in ./var/demo
	@$(BIN)/docflow demo $(ARGS)

# S3=1 serves another instance, in ./var/s3, on a real S3 service that starts and stops with it.
S3 ?=

.PHONY: run
run: $(if $(S3),$(DEV),$(RUNTIME)) ## Serve the instance in ./var; S3=1: one on SeaweedFS in ./var/s3
ifeq ($(S3),)
	@$(BIN)/docflow init --quiet
	@exec $(BIN)/docflow serve $(ARGS)
else
	@exec $(BIN)/docflow dev $(ARGS)
endif

.PHONY: migrate
migrate: $(RUNTIME) ## Bring the database of the instance to this version
	@$(BIN)/docflow migrate $(ARGS)

##@ Prove it

.PHONY: test
test: $(DEV) debian-tools ## Run every test; sets up all that the tests need
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

.PHONY: check
check: lint types imports openapi-check migrations-check ## All that is checked without running docflow

.PHONY: lint
lint: $(DEV) ## Style: ruff, rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: types
types: $(DEV) ## Types: mypy, strict
	$(BIN)/mypy

.PHONY: imports
imports: $(DEV) ## Floors: imports only go down (import-linter)
	$(BIN)/lint-imports

.PHONY: openapi-check
openapi-check: $(DEV) ## The committed OpenAPI document is what the code says
	$(BIN)/docflow openapi --check $(OPENAPI)

.PHONY: migrations-check
migrations-check: $(DEV) ## The migrations make the tables that the code has, on both databases
	$(BIN)/python -m pytest -q tests/migrations -k models

.PHONY: bench
bench: $(DEV) ## Measure beside baselines of the same run; ARGS="--only sealing --quick"
	@.ci/debian openssl:openssl
	@$(BIN)/python -m bench $(ARGS)

##@ Change it

.PHONY: fmt
fmt: $(DEV) ## Format the code and repair what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: openapi
openapi: $(DEV) ## Write the OpenAPI document anew
	$(BIN)/docflow openapi --out $(OPENAPI)

# --no-emit-index-url: a lock names packages and their hashes, never the host they came from.
COMPILE := $(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header
UPGRADE ?=

.PHONY: lock
lock: $(DEV) ## Lock the dependencies anew; UPGRADE=--upgrade takes newer versions
	$(COMPILE) $(UPGRADE) pyproject.toml -o $(LOCKS)/runtime.txt
	$(COMPILE) $(UPGRADE) --group bootstrap -o $(LOCKS)/bootstrap.txt
	$(COMPILE) $(UPGRADE) --group build -c $(LOCKS)/runtime.txt -o $(LOCKS)/build.txt
	$(COMPILE) $(UPGRADE) pyproject.toml --group dev -c $(LOCKS)/runtime.txt \
		-c $(LOCKS)/bootstrap.txt -c $(LOCKS)/build.txt -o $(LOCKS)/dev.txt

##@ Ship it

.PHONY: wheel
wheel: $(DEV) ## Build the wheel into ./dist
	$(BIN)/python -m build --wheel --no-isolation

.PHONY: image
image: ## Build the container image
	@command -v docker >/dev/null || { echo "make image needs the docker command, and there is none"; exit 1; }
	docker build --tag docflow:dev .

.PHONY: clean
clean: ## Remove what was built and cached; keeps .venv and the data in ./var
	rm -rf dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find src tests migrations -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## The same, and .venv; still keeps the data in ./var
	rm -rf .venv

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# How .venv is made. A stamp is as old as the locks that it was installed from.

.venv/bin/python:
	@.ci/venv

$(RUNTIME): pyproject.toml $(LOCKS)/bootstrap.txt $(LOCKS)/build.txt $(LOCKS)/runtime.txt .ci/install | .venv/bin/python
	@.ci/install runtime build
	@touch $@

$(DEV): $(RUNTIME) $(LOCKS)/dev.txt
	@.ci/install dev
	@touch $@

.PHONY: debian-tools
debian-tools:
	@.ci/debian pdfsig:poppler-utils qpdf:qpdf zbarimg:zbar-tools openssl:openssl softhsm2-util:softhsm2 \
		soffice:libreoffice-writer-nogui \
		/usr/lib/libreoffice/program/libsclo.so:libreoffice-calc-nogui \
		/usr/lib/libreoffice/program/libsdlo.so:libreoffice-impress-nogui \
		bwrap:bubblewrap java:default-jre-headless xmlsec1:xmlsec1 \
		/usr/share/java/preflight.jar:libpdfbox2-java /usr/share/java/jaxb-api.jar:libjaxb-api-java \
		/usr/share/java/javax.activation.jar:libactivation-java
