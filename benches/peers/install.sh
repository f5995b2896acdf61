#!/usr/bin/env bash
# Installs the programs that benches/peers/run.py measures cubeclean against, below one directory:
#
#   benches/peers/install.sh [DIR]        default: target/peers   (about 4 GB, some minutes)
#
# - CASA's tclean: casatasks from PyPI, with the measures data as a package (DIR/casa, DIR/casasite.py);
# - pclean: casa-pclean from PyPI, into the same Python, as it drives the same casatools;
# - ducc0, from PyPI, and python-casacore to read the MeasurementSet for it (DIR/ducc; casatools and
#   python-casacore must not share a process);
# - WSClean: Debian's and Ubuntu's package `wsclean` (by apt-get; needs root).
#
# casa-rs is in no registry: build it yourself and give run.py its command with --casa-rs.
# CASA's wheels are for Python 3.10 to 3.12; PYTHON names another interpreter than python3.
set -euo pipefail
dir=$(realpath -m "${1:-$(dirname "$0")/../../target/peers}")
python=${PYTHON:-python3}
mkdir -p "$dir"

[ -x "$dir/casa/bin/python" ] || "$python" -m venv "$dir/casa"
"$dir/casa/bin/pip" install -q casatools==6.7.0.31 casatasks==6.7.0.31 casadata==2025.9.22 casaconfig six \
    "numpy<2.3" scipy astropy "casa-pclean==0.2.3"
data=$("$dir/casa/bin/python" -c \
    'import casadata, os; print(os.path.join(os.path.dirname(casadata.__file__), "__data__"))')
cat > "$dir/casasite.py" <<PY
measurespath = '$data'
datapath = [measurespath]
measures_auto_update = False
data_auto_update = False
nologger = True
nogui = True
agg = True
telemetry_enabled = False
crashreporter_enabled = False
log2term = False
PY

[ -x "$dir/ducc/bin/python" ] || "$python" -m venv "$dir/ducc"
"$dir/ducc/bin/pip" install -q ducc0 python-casacore==3.8.1 numpy astropy

if ! command -v wsclean > /dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
        apt-get install -qq -y --no-install-recommends wsclean > /dev/null
    else
        echo "wsclean is missing: apt-get install wsclean (as root); run.py leaves it out otherwise" >&2
    fi
fi
echo "installed below $dir; now: python3 benches/peers/run.py --peers $dir"
