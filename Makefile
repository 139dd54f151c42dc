# What `make serve` and `make test` need is set up on the way: each step once, and again when its inputs change.

MAKEFLAGS += --no-builtin-rules --no-print-directory $(if $(filter 0,$(MAKELEVEL)),--jobs=2)
.SHELLFLAGS := -euc
.DELETE_ON_ERROR:
.PHONY: help serve test quick all newest oldest lint schemas vectors mutants pictures structure bench soak audit clients agents clean python tools

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
# Python keeps what it compiles, whatever the shell says: to compile the tests anew takes each run ten seconds.
unexport PYTHONDONTWRITEBYTECODE

bin := .venv/bin
envs := .cache/clients
tests := mockserver/tests

help: ## Say what there is to make
	@awk -F ' *## ' '/^[a-z]+:.* ## / {split($$1, name, ":"); printf "make %-8s %s\n", name[1], $$2}' $(MAKEFILE_LIST)

serve: .venv/.serve ## Serve the mock until Ctrl-C; with flags: make serve ARGS="--port 0 --seed 7"
	@exec $(bin)/openpipe-mock serve $(ARGS)

# Who is done takes over half of what another has left. In a whole run many a test waits, so there is one process more.
pytest = -m pytest --quiet --dist worksteal --numprocesses $(if $(filter quick,$@),2,3)

# $(call measured,flags for pytest,flags for the report)
measured = $(bin)/coverage erase && $(bin)/coverage run $(pytest) $(1) && \
	$(bin)/coverage combine --quiet && $(bin)/coverage report $(2)

test: lint clients ## Lint, type-check and test, with the official clients and the built packages
	@$(call measured,$(if $(filter full,$(EXAMPLES)),--hypothesis-profile=full))

quick: .venv/.dev ## Test in a minute, without processes and clients; what of it is covered: make quick COVERAGE=1
	@$(if $(COVERAGE),$(call measured,--quick,--fail-under=85),$(bin)/python $(pytest) --quick)

# What takes long; all of it runs one by one.
heavy := agents mutants newest oldest

all: ## Run everything in full: the tests with all their examples, and what takes long
	@$(MAKE) test EXAMPLES=full MUTANTS=1
	@for target in $(heavy); do $(MAKE) $$target; done

newest: clients .cache/uv/.done ## Test with the newest versions that pyproject.toml allows
	@$(call tested_with,highest)

oldest: clients .cache/uv/.done ## Test with the oldest versions that pyproject.toml allows
	@$(call tested_with,lowest-direct)

lint: .venv/.dev ## Check style and types
	@$(bin)/ruff check --quiet
	@$(bin)/ruff format --quiet --check
	@$(bin)/mypy --no-error-summary

schemas: .venv/.dev ## Make schemas/openapi.yaml anew from its sources and check it
	@$(bin)/openpipe-mock schemas convert schemas/sources/judge-criteria.md --into schemas/openapi.yaml
	@$(bin)/openpipe-mock schemas check
	@$(MAKE) vectors

vectors: .venv/.dev ## Write schemas/vectors anew
	@$(bin)/python -m openpipe_mock.payloads.vectors

mutants: .venv/.dev ## Run the contract suite against every one-bug server and write docs/mutants.md
	@$(bin)/python -m tests.mutants_page

pictures: .venv/.dev | tools ## Take the pictures in docs/images anew
	@$(bin)/python -m tests.dashboard.pictures

structure: .venv/.dev ## Print figures of the package's structure
	@$(bin)/python -m tests.structure

bench: .venv/.dev ## Measure against a bare ASGI app; with flags: make bench ARGS="--rounds 3 --write"
	@command -v wrk >/dev/null || { $(call install,wrk); }
	@$(bin)/python -m benchmarks.run $(ARGS)

soak: .venv/.dev ## Besiege a mock with mad requests for minutes; shorter: make soak ARGS="--requests 1000"
	@$(bin)/python -m benchmarks.soak $(ARGS)

audit: .venv/.dev ## Ask PyPI for known vulnerabilities of what is installed; needs the network
	@[ -x .cache/audit/bin/pip-audit ] || \
		{ $(bin)/python -m venv .cache/audit && .cache/audit/bin/pip install -qq pip-audit; }
	@$(bin)/python -m pip freeze --exclude-editable > .cache/audit/installed.txt
	@.cache/audit/bin/pip-audit --strict --disable-pip --no-deps --requirement .cache/audit/installed.txt

clean: ## Remove all that was set up or built
	@rm -rf .venv .cache .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	@find . -name __pycache__ -prune -exec rm -rf {} +

# The virtual environment of this checkout: `serve` takes only what the mock runs on, all else takes the rest too.

.venv/pyvenv.cfg: | python
	@echo "Creating .venv"
	@$(find_python) && $$python -m venv --clear .venv
	@$(bin)/python -m pip install -qq --upgrade 'pip>=25.1'

.venv/.serve: pyproject.toml .venv/pyvenv.cfg
	@echo "Installing openpipe-mock into .venv"
	@$(bin)/python -m pip install -qq --editable .
	@touch $@

.venv/.dev: pyproject.toml .venv/pyvenv.cfg
	@echo "Installing openpipe-mock and its development tools into .venv"
	@$(bin)/python -m pip install -qq --editable '.[all]' --group dev
	@touch .venv/.serve $@

# The newest and the oldest versions of all that pyproject.toml names, in environments that are made anew each time.

.cache/uv/.done: .venv/pyvenv.cfg
	@echo "Installing uv"
	@$(call environment,uv)

# $(call tested_with,resolution): the tests in such an environment, with the Python of .venv.
tested_with = echo "Installing the $@ versions"; ( $(as_pip) && uv=.cache/uv/bin/uv && \
	$$uv venv --quiet --clear --seed --python $(bin)/python .cache/$@ && \
	$$uv pip install --quiet --python .cache/$@/bin/python --resolution $(1) \
		--requirement pyproject.toml --extra all --group dev --editable . ) && \
	.cache/$@/bin/python $(pytest)

# uv knows nothing of pip's settings. It takes those that name places, the environment's before those of files.
as_pip = export UV_NO_CONFIG=1 UV_CACHE_DIR=.cache/uv/cache UV_INDEX_STRATEGY=unsafe-best-match && \
	eval "$$($(bin)/python -m pip config list | sed -nE \
	"s/\\\\n/ /g; s/^global\./1 /p; s/^install\./2 /p; s/^:env:\./3 /p" | sort | sed -nE \
	"s/^. index-url=/export UV_DEFAULT_INDEX=/p; s/^. extra-index-url=/export UV_INDEX=/p; \
	s/^. find-links=/export UV_FIND_LINKS=/p; s/^. no-index=/export UV_NO_INDEX=/p; \
	s/^. trusted-host=/export UV_INSECURE_HOST=/p; s/^. constraint=/export UV_CONSTRAINT=/p; \
	s/^. cert=/export SSL_CERT_FILE=/p; s/^. proxy=/export ALL_PROXY=/p")"

# The clients' environments stand apart: clients pin versions that contradict each other's and ours.

with_fixtures := $(addprefix $(envs)/fixtures-,$(addsuffix /.done,openpipe openai litellm))
python_clients := $(addprefix $(envs)/,$(addsuffix /.done,openpipe openai langchain schemathesis)) $(with_fixtures)

node_clients := $(addprefix $(envs)/,$(addsuffix /.done,node prism aimock axe))

built_clients := $(addprefix $(envs)/,$(addsuffix /.done,wheel sdist mockserver-client examples))

clients: $(python_clients) $(node_clients) $(built_clients) | tools

# Agents' frameworks are heavy, and nothing else needs them.
agents_clients := $(addprefix $(envs)/,$(addsuffix /.done,agents node-agents))

agents: $(agents_clients) .venv/.dev ## Run the loops of agents' frameworks against the mock
	@$(call node_from,20)
	@$(bin)/python -m pytest --quiet $(tests)/agents/check_agents.py $(tests)/agents/check_variants.py

# $(call environment,requirements): the folder of the target becomes a clean environment that holds only these.
environment = $(bin)/python -m venv --clear --without-pip $(@D) && \
	$(bin)/python -m pip --python $(@D)/bin/python install -qq $(1) && touch $@

$(python_clients) $(envs)/agents/.done: $(envs)/%/.done: $(tests)/clients/python-%/requirements.txt .venv/pyvenv.cfg
	@echo "Installing the Python client $*"
	@$(call environment,--requirement $<)

# These hold the checkout itself with its extras.
$(with_fixtures): pyproject.toml

$(node_clients) $(envs)/node-agents/.done: $(envs)/%/.done: $(addprefix $(tests)/clients/%/,package.json package-lock.json) | tools
	@echo "Installing the Node packages of $*"
	@mkdir -p $(@D) && cp $^ $(@D)
	@npm ci --prefix $(@D) --loglevel=error --no-audit --no-fund --no-update-notifier >/dev/null
	@touch $@

# Folders count too: their times tell of files that are gone. (`schemas` alone would name the target above.)
shipped := pyproject.toml README.md LICENSE $(shell \
	find mockserver/. schemas/. contract_tests/. examples/. ! -name __pycache__ ! -name '*.pyc' 2>/dev/null)

.cache/dist/.done: $(shipped) .venv/.dev
	@echo "Building wheel and sdist"
	@rm -rf $(@D) && mkdir -p $(@D)
	@$(bin)/python -m build --no-isolation --outdir $(@D) . >$(@D)/log 2>&1 || { cat $(@D)/log >&2; exit 1; }
	@touch $@

$(envs)/wheel/.done: .cache/dist/.done
	@echo "Installing the wheel"
	@$(call environment,.cache/dist/*.whl)

$(envs)/sdist/.done: .cache/dist/.done
	@echo "Installing the sdist with its extras"
	@$(call environment,"$$(echo .cache/dist/*.tar.gz)[all]")

$(envs)/mockserver-client/.done: $(tests)/clients/python-mockserver-client/requirements.txt .cache/dist/.done
	@echo "Installing the wheel beside mockserver-client"
	@$(call environment,--requirement $< "$$(echo .cache/dist/*.whl)[fixtures]")

# As in a copy of the examples: their requirements name a wheel in the folder `wheels`.
$(envs)/examples/.done: examples/python/requirements.txt .cache/dist/.done
	@echo "Installing what the examples require"
	@$(bin)/python -m venv --clear --without-pip $(@D)
	@mkdir $(@D)/python && ln -s $(CURDIR)/.cache/dist $(@D)/wheels
	@cd $(@D)/python && $(CURDIR)/$(bin)/python -m pip --python ../bin/python install -qq --requirement $(CURDIR)/$<
	@touch $@

# What has to come from the system. `make PYTHON=…` takes another interpreter, for a .venv that isn't there yet.

find_python = for python in $(or $(PYTHON),python3.13 python3.12 python3.11 python3) ""; do \
	$${python:-false} -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
	done; [ -n "$$python" ]

# $(call install,packages): with apt-get where that is possible, else one line that says what is missing.
install = if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	echo "Installing the system packages $(1)"; export DEBIAN_FRONTEND=noninteractive; \
	apt-get -qq update && apt-get -qq install --no-install-recommends $(1) >/dev/null; \
	else echo "Missing: $(1). On Debian and Ubuntu: sudo apt-get install $(1)" >&2; exit 1; fi

python:
	@[ -e .venv/pyvenv.cfg ] || { $(find_python); } || { $(call install,python3 python3-venv); }
	@[ -e .venv/pyvenv.cfg ] || { $(find_python); } || \
		{ echo "Missing: Python 3.11 or newer with venv. Where there is one: make PYTHON=/its/path" >&2; exit 1; }

tools: | python
	@set --; for tool in curl nodejs:node npm redis-server chromium; do \
		command -v $${tool#*:} >/dev/null || set -- "$$@" $${tool%:*}; done; \
	[ $$# = 0 ] || { $(call install,$$*); }
	@$(call node_from,18)

# $(call node_from,version): ends with one line where Node is older.
node_from = node -e 'process.exit(parseInt(process.versions.node) < $(1) ? 1 : 0)' || \
	{ echo "Missing: Node $(1) or newer; this is $$(node --version). See https://nodejs.org" >&2; exit 1; }
