#!/usr/bin/env bash
# Run the tests with the oldest or newest versions that pyproject.toml allows, in a new
# environment:
#
#   bash tools/dev/test_versions.sh oldest python3.10     oldest torch, OneDL's stack
#   bash tools/dev/test_versions.sh newest python3.13     newest torch, OneDL's stack
#   bash tools/dev/test_versions.sh openmmlab python3.10  oldest torch, OpenMMLab's own
#
# Further arguments are passed to pytest. CPU builds of torch suffice: pip takes them
# from the index in PIP_EXTRA_INDEX_URL. OpenMMLab's mmcv is compiled, which needs a C++
# compiler and, on two cores, half an hour. The environments of several GB each are kept
# in build/versions.
set -euo pipefail

if [[ $# -lt 2 || ! $1 =~ ^(oldest|newest|openmmlab)$ ]]; then
    sed -n '2,/^set/{/^set/d;s/^# \?//;p}' "$0" >&2
    exit 2
fi
name=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
folder=$root/build/versions/$name
mkdir -p "${folder%/*}"
"$2" -m venv "$folder"
shift 2
cd "$root"

export CUDA_VISIBLE_DEVICES=  # also compiles mmcv without CUDA
python=$folder/bin/python
bounds=$folder/oldest.txt
install() { "$python" -m pip install --quiet --disable-pip-version-check "$@"; }
oldest() { install --constraint "$bounds" "$@"; }

# The oldest version of each package for which pyproject.toml states one.
grep -oE '[a-z-]+>=[0-9.]+' pyproject.toml | sed 's/>=/==/' >"$bounds"
install --upgrade pip setuptools
case $name in
    oldest)
        oldest torch torchvision
        oldest --editable '.[onedl,cls,networks,deploy,dev]'
        ;;
    newest)
        install torch torchvision
        install --editable '.[onedl,cls,networks,deploy,dev]'
        ;;
    openmmlab)
        oldest torch torchvision
        # mmcv's setup.py imports torch and pkg_resources, which Setuptools 82 lacks.
        # pip's cache is not used, as compiled code works with a single torch version.
        install 'setuptools<82' ninja
        oldest --no-build-isolation --no-cache-dir mmcv
        oldest --editable '.[openmmlab,networks,deploy,dev]' mmpretrain==1.2.0
        ;;
esac

status=0
"$python" -m pytest "$@" | tee "$folder/pytest.log" || status=$?
"$python" - "$name" "$(tail -n 1 "$folder/pytest.log")" <<'END'
import platform
import sys
from importlib.metadata import distributions

WANTED = ('torch', 'torchvision', 'numpy', 'mmengine', 'mmcv', 'mmsegmentation')
found = {d.name.removeprefix('onedl-'): f'{d.name} {d.version}' for d in distributions()}
versions = [f'Python {platform.python_version()}', *map(found.get, WANTED)]
print(f'{sys.argv[1]} ({", ".join(versions)}): {sys.argv[2]}')
END
exit "$status"
