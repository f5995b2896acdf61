#!/usr/bin/env bash
# Runs every check of this repository: `bash tests/run.sh`.
#
# Needs Rust (rustup's stable toolchain), git, Python 3 and a C compiler. What else the tests use is
# fetched once: a software Vulkan driver (apt-get, as root or with sudo, where there is none), a Python
# environment with independent readers of our products, and cargo-deny. All of it, but for
# Debian packages, stays below target/.

set -uo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target"
target=$(cd "$target" && pwd)

failed=()
started=$SECONDS

# step NAME COMMAND...: runs it, and remembers whether it failed.
step() {
    local name=$1 begin=$SECONDS
    shift
    printf '\n=== %s\n' "$name"
    if "$@"; then
        printf '=== %s: ok (%d s)\n' "$name" $((SECONDS - begin))
    else
        printf '=== %s: FAILED (%d s)\n' "$name" $((SECONDS - begin))
        failed+=("$name")
    fi
}

# need COMMAND ADVICE: ends the run if a command is missing.
need() {
    command -v "$1" >/dev/null && return
    echo "error: $1 is missing; $2" >&2
    exit 1
}

need cargo "install Rust: https://rustup.rs"
need python3 "install Python 3 (Debian, Ubuntu: apt-get install python3 python3-venv)"
need cc "install a C compiler (Debian, Ubuntu: apt-get install gcc)"
cargo fmt --version >/dev/null 2>&1 || need cargo-fmt "rustup component add rustfmt"
cargo clippy --version >/dev/null 2>&1 || need cargo-clippy "rustup component add clippy"

apt_updated=
# apt PACKAGE...: installs Debian packages, as root or with sudo.
apt() {
    local root=
    command -v apt-get >/dev/null || { echo "no apt-get: install $* yourself" >&2; return 1; }
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || { echo "not root, and no sudo: install $* yourself" >&2; return 1; }
        root=sudo
    fi
    [ -n "$apt_updated" ] || $root apt-get update -qq
    apt_updated=yes
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# A Vulkan driver: the machine's own, or Mesa's lavapipe in software.
vulkan() {
    local icd
    for icd in /usr/share/vulkan/icd.d/*.json /usr/local/share/vulkan/icd.d/*.json /etc/vulkan/icd.d/*.json \
        ${VK_ICD_FILENAMES:-} ${VK_DRIVER_FILES:-}; do
        # Drivers for hardware are installed with lavapipe on Debian: only the latter always works.
        case $icd in *lvp*.json | *nvidia*.json) [ -e "$icd" ] && echo "$icd" && return ;; esac
    done
    [ "$(uname)" = Darwin ] && return # Metal is there
    apt libvulkan1 mesa-vulkan-drivers && ls /usr/share/vulkan/icd.d/*lvp*.json
}

# Python with readers of CASA images, tables and FITS that are not ours.
python_environment() {
    local venv=$target/test-python stamp=$target/test-python/requirements.txt
    export CUBECLEAN_TEST_PYTHON=$venv/bin/python
    cmp -s tests/requirements.txt "$stamp" && "$CUBECLEAN_TEST_PYTHON" -c 'import casacore.tables, astropy' && return
    rm -rf "$venv"
    # Debian ships venv's seed packages apart from Python.
    python3 -m venv "$venv" >/dev/null 2>&1 || { rm -rf "$venv"; apt python3-venv && python3 -m venv "$venv"; } || return
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt || return
    "$CUBECLEAN_TEST_PYTHON" -c 'import casacore.tables, casacore.images, astropy' && cp tests/requirements.txt "$stamp"
}

# Licences and sources of all dependencies. (Advisories need a database from the network.)
deny() {
    local version=0.20.2 tools=$target/tools
    if ! PATH=$tools/bin:$PATH cargo deny --version 2>/dev/null | grep -qx "cargo-deny $version"; then
        cargo install --quiet --locked --debug --root "$tools" --target-dir "$target/tools-build" \
            "cargo-deny@$version" || return
        rm -rf "$target/tools-build"
    fi
    PATH=$tools/bin:$PATH cargo deny --log-level error check bans licenses sources
}

step "Vulkan driver" vulkan
step "Python environment" python_environment
step "cargo fmt" cargo fmt --check
step "cargo clippy" cargo clippy --locked --all-targets --quiet -- -D warnings
step "cargo deny" deny
step "cargo doc" env RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --quiet
step "cargo test" cargo test --locked --quiet

printf '\n%d s. ' $((SECONDS - started))
if [ ${#failed[@]} -gt 0 ]; then
    printf 'FAILED:'
    printf ' "%s"' "${failed[@]}"
    echo
    exit 1
fi
echo "All steps passed."
