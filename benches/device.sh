#!/usr/bin/env bash
# Measures a GPU: builds, runs the GPU's tests on it, then `cubeclean bench` at full scale.
#
#   bash benches/device.sh OUT [DEVICE]         on the machine with the GPU; results go to OUT
#   bash benches/device.sh --pack PACK          where there is Rust, for a machine without: fills PACK
#   bash benches/device.sh --packed PACK OUT [DEVICE]   there, in a checkout, with what PACK holds
#
# DEVICE is a part of the adapter's name or its number; without it the first hardware GPU is taken. A
# machine that builds needs a C compiler and, if it has no Rust, a network. 8000 x 8000 x 16 channels take
# 20 GiB of GPU memory and, beside the CPU, 32 GiB of the host's; the whole takes some minutes.

set -uo pipefail
cd "$(dirname "$0")/.."

usage() {
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

# executables TEST-ARGUMENTS...: builds, and prints the paths of the executables.
executables() {
    cargo test --release --locked --no-run --message-format=json "$@" |
        python3 -c 'import json, sys
built = {}
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable"):
        built[message["target"]["name"]] = message["executable"]
print(*[built[name] for name in ("cubeclean", "operators", "gpu") if name in built], sep="\n")'
}

# build: the program, and the tests that need a GPU; sets cubeclean and tests.
build() {
    if ! command -v cargo >/dev/null; then
        [ -x "$HOME/.cargo/bin/cargo" ] ||
            curl -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal || exit
        PATH=$HOME/.cargo/bin:$PATH
    fi
    cargo build --release --locked || exit
    cubeclean=${CARGO_TARGET_DIR:-target}/release/cubeclean
    mapfile -t tests < <(executables --lib --test operators --test gpu)
    [ ${#tests[@]} -eq 3 ] || { echo "error: the tests were not built" >&2; exit 1; }
}

# pack DIR: what a machine without Rust and network needs.
pack() {
    mkdir -p "$1" || exit
    build
    cp "$cubeclean" "$1/cubeclean"
    cp "${tests[0]}" "$1/unit-tests"
    cp "${tests[1]}" "$1/operator-tests"
    cp "${tests[2]}" "$1/run-tests"
    strip "$1"/cubeclean "$1"/*-tests
    # Tests look for data where they were built.
    pwd >"$1/root"
    # A Vulkan loader, for images that have the driver alone.
    (cd "$1" && apt-get download -qq libvulkan1 libegl1 libglvnd0 libopengl0 libgl1 libglx0 libgles2)
    du -sh "$1"
}

# unpack DIR: the counterpart of pack.
unpack() {
    local dir root
    dir=$(cd "$1" && pwd) || exit
    cubeclean=$dir/cubeclean
    tests=("$dir/unit-tests" "$dir/operator-tests" "$dir/run-tests")
    chmod +x "$cubeclean" "${tests[@]}"
    root=$(cat "$dir/root")
    [ -e "$root" ] || { mkdir -p "$(dirname "$root")" && ln -s "$PWD" "$root"; }
    if ! ldconfig -p | grep -q libvulkan.so.1; then
        for deb in "$dir"/*.deb; do dpkg -x "$deb" "$dir/loader"; done
        LD_LIBRARY_PATH=$(echo "$dir"/loader/usr/lib/*-linux-gnu)${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
        export LD_LIBRARY_PATH
    fi
}

# driver: makes sure that there is a Vulkan loader and that it finds the driver.
driver() {
    [ "$(uname)" = Linux ] || return
    if ! ldconfig -p | grep -q libvulkan.so.1 && [ -z "${LD_LIBRARY_PATH:-}" ]; then
        apt-get update -qq && apt-get install -y -qq libvulkan1 >/dev/null
    fi
    # Containers have NVIDIA's driver where no loader looks.
    local icd=/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json
    if [ -e $icd ] && ! ls /usr/share/vulkan/icd.d/nvidia* /etc/vulkan/icd.d/nvidia* >/dev/null 2>&1; then
        export VK_DRIVER_FILES=$icd
        export __EGL_VENDOR_LIBRARY_FILENAMES=/usr/local/nvidia/share/glvnd/egl_vendor.d/10_nvidia.json
    fi
}

failed=()
# step NAME COMMAND...: runs it with its output in OUT/NAME.txt, and remembers whether it failed.
step() {
    local name=$1 begin=$SECONDS
    shift
    printf '\n=== %s: %s\n' "$name" "$*"
    "$@" 2>&1 | tee "$out/$name.txt"
    [ "${PIPESTATUS[0]}" -eq 0 ] || failed+=("$name")
    printf '=== %s: %d s\n' "$name" $((SECONDS - begin))
}

# bench NAME ARGUMENTS...: table to OUT/NAME.txt, figures to OUT/NAME.json.
bench() {
    local name=$1
    shift
    step "$name" "$cubeclean" bench --pixels 8000 --channels 16 "${device[@]}" --json "$out/$name.json" "$@"
}

# targets: the figures of the full job beside what they should be.
targets() {
    python3 - "$out/full.json" "$out/minor.json" <<'END'
import json, sys
full, minor = (json.load(open(path))["backends"][0] for path in sys.argv[1:])
rows = [
    ("gridding at 1e-5, Gvis/s", full["stages"]["grid"]["per_second"] / 1e9, ">=", 1.0),
    ("fft over its memory floor", full["fft_over_floor"], "<=", 2.0),
    ("Hogbom iterations/s over the batch", minor["iterations_per_second"], ">=", 1e5),
    ("PSF + dirty + 200 iterations, ms a channel", 1e3 * full["psf_dirty_minor_s"], "<=", 60.0),
]
print(full["name"], full["driver"])
for what, value, sign, target in rows:
    kept = value >= target if sign == ">=" else value <= target
    print(f"{what:44} {value:12.3f}  target {sign} {target:g}  {'kept' if kept else 'MISSED'}")
END
}

[ $# -ge 1 ] || usage
case $1 in
--pack)
    [ $# -eq 2 ] || usage
    pack "$2"
    exit
    ;;
--packed)
    [ $# -ge 3 ] || usage
    unpack "$2"
    shift 2
    ;;
-*) usage ;;
*) build ;;
esac
mkdir -p "$1" && out=$(cd "$1" && pwd) || exit
device=()
if [ $# -ge 2 ]; then
    device=(--device "$2")
    # Where tests look for the device to use.
    export CUBECLEAN_TEST_DEVICE=$2
fi
driver

step devices "$cubeclean" devices
step unit-tests "${tests[0]}" backend::gpu --nocapture
step operator-tests "${tests[1]}" --nocapture
step run-tests "${tests[2]}" --nocapture
bench full --rows 449280 --backends gpu
bench full-2d --rows 449280 --wterm none --backends gpu
bench minor --rows 449280 --iterations 5000 --backends gpu
bench beside-cpu --rows 449280 --backends cpu,gpu --repeat 1
step targets targets

if [ ${#failed[@]} -gt 0 ]; then
    printf '\nFAILED: %s\n' "${failed[*]}"
    exit 1
fi
printf '\nAll of it is in %s\n' "$out"
