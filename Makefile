# One line each; the same commands in CI and by hand. VENV may point elsewhere.
VENV ?= .venv
PYTHON ?= python3
RUN = $(VENV)/bin/python -m
# Tests of real daemons wait more than they compute.
JOBS ?= 3

.PHONY: demo down test test-cluster test-conformance test-api lint check fix fuzz bench bench-cluster bench-scale image clean prepare prepare-dev

demo: prepare            ## the three-VM demo, on this machine
	@$(VENV)/bin/weft demo

down: prepare            ## remove the demo's lab
	@$(VENV)/bin/weft lab down

test: prepare-dev lint   ## everything tested
	$(RUN) pytest -q -n $(JOBS) --dist worksteal -m "not lab"
	$(RUN) pytest -q -n 2 --dist loadfile -m lab

API_TESTS = tests/real/test_admission_policy.py tests/real/test_kube_rights.py tests/real/test_exec_rights.py tests/real/test_webhook.py
# The lab's API server is held to the newest release.
CONFORMANCE = $(if $(KUBECONFIG)$(filter oldest,$(RELEASE)),,lab/tests/conformance)

test-cluster: prepare-dev ## on a stock Kubernetes, as root (RELEASE=oldest MULTUS=thin); or yours: KUBECONFIG=...
	WEFT_CLUSTER_RELEASE=$(or $(RELEASE),newest) WEFT_CLUSTER_MULTUS=$(or $(MULTUS),thick) \
		$(RUN) pytest -q -n 0 -m cluster tests/cluster $(CONFORMANCE)

test-conformance: prepare-dev ## the lab's API server beside a real one; a part of test-cluster
	$(RUN) pytest -q -n 0 -m cluster lab/tests/conformance

test-api: prepare-dev    ## rights, admission and the webhook on a kube-apiserver alone (RELEASE=oldest)
	programs="$$($(RUN) tests.cluster api-server --release $(or $(RELEASE),newest))" && \
		env $$programs $(RUN) pytest -q -n 0 $(API_TESTS)

lint: prepare-dev        ## style, types, layers
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(VENV)/bin/lint-imports --no-cache

check: lint              ## lint and the fast tests
	$(RUN) pytest -q -n $(JOBS) -m "not lab and not real"

fix: prepare-dev         ## let ruff mend what it can
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

fuzz: prepare-dev        ## hostile guests: FRAMES of each, from SEED
	WEFT_FUZZ_FRAMES=$(or $(FRAMES),200000) WEFT_FUZZ_SEED=$(or $(SEED),1) \
		$(RUN) pytest -q -n 0 tests/real/test_hostile_guests.py

image: prepare-dev       ## the container image, as an OCI archive in dist/
	$(RUN) tools.image

bench: prepare-dev       ## figures beside their limits and peers
	$(RUN) bench

bench-cluster: prepare-dev ## a burst of pods beside a stock kube-apiserver
	$(RUN) bench --only stock

bench-scale: prepare-dev ## 500 nodes, 20,000 pods and 200 networks, times SCALE (0.1)
	WEFT_BENCH_SCALE=$(or $(SCALE),0.1) $(RUN) bench --only scale

clean:                   ## forget the virtual environment
	rm -rf $(VENV)

prepare:
	@$(PYTHON) bootstrap.py $(VENV) requirements.txt

prepare-dev:
	@$(PYTHON) bootstrap.py $(VENV) requirements-dev.txt
