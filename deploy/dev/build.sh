#!/bin/sh
# Make .venv with everything in it, and compile the modules that pyproject.toml lists.
# `build.sh packages` makes .venv only.
#
# Does nothing, quickly, when neither pyproject.toml nor a compiled module's source
# has changed. PYTHON names the interpreter to build on.
#
# `test -nt` is not POSIX, but every shell that is a Linux /bin/sh has it.
# shellcheck disable=SC3013
set -eu
cd "$(dirname "$0")/../.."
. deploy/dev/common.sh

venv=.venv
installed=$venv/.installed

find_python() {
    for python in ${PYTHON-} python3 python3.14 python3.13 python3.12 python3.11; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$python"
            return
        fi
    done
    say "Python 3.11 or newer is needed; name it with PYTHON=..."
    return 1
}

make_venv() {
    python=$(find_python)
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        can_apt || {
            say "$python has no venv module. On Debian or Ubuntu: apt-get install python3-venv (as root)"
            return 1
        }
        apt_install python3-venv
    fi
    "$python" -m venv --clear $venv
}

install_packages() {
    say "installing Python packages into $venv"
    # Without the build hooks: an editable install is compiled below, in place.
    HATCH_BUILD_NO_HOOKS=true $venv/bin/python -m pip install -q --disable-pip-version-check \
        --root-user-action=ignore -e '.[test,dev]'
    touch $installed
}

compiled_modules() {
    $venv/bin/python - <<'PYTHON'
import tomllib
from pathlib import Path

with open("pyproject.toml", "rb") as file:
    targets = tomllib.load(file)["tool"]["hatch"]["build"]["targets"]
hook = targets["wheel"]["hooks"]["mypyc"]
files = {path for pattern in hook["include"] for path in Path().glob(pattern)}
print(*sorted(str(path) for path in files if path.name not in hook["exclude"]))
PYTHON
}

# Whether each module has a compiled form that is newer than its source, and no other has one.
is_fresh() {
    [ "$(find proxy -name '*.so' | wc -l)" -eq $# ] || return 1
    for source in "$@"; do
        fresh=
        for library in "${source%.py}".*.so; do
            [ "$library" -nt "$source" ] && fresh=yes
        done
        [ -n "$fresh" ] || return 1
    done
}

can_compile() {
    header=$($venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h
    [ -e "$header" ] && command -v gcc >/dev/null && return
    if can_apt; then
        apt_install gcc libc6-dev python3-dev && [ -e "$header" ] && return
    fi
    say "no gcc or no $header: going on interpreted. On Debian or Ubuntu:" \
        "apt-get install gcc python3-dev (as root)"
    return 1
}

compile() {
    # A library that is older than its source would be used instead of it.
    find proxy -name '*.so' -delete
    rm -f ./*__mypyc.*.so
    can_compile || return 0
    say "compiling $# modules (a minute or two)"
    # Not in the checkout: the build would read our pyproject.toml as its own.
    mkdir -p build
    ln -sfn ../proxy build/proxy
    # As fast as with the defaults, and made in four fifths of the time. To look for mistakes in C that
    # nobody wrote takes twice as long as to compile it.
    export MYPYC_OPT_LEVEL=2 MYPYC_DEBUG_LEVEL=0 CPPFLAGS="${CPPFLAGS-} -Wno-all"
    if ! (cd build && "../$venv/bin/mypyc" --strict "$@") >build/mypyc.log 2>&1; then
        tail -n 20 build/mypyc.log >&2
        say "mypyc failed; the whole of what it said is in build/mypyc.log"
        return 1
    fi
    # What did not change was not made again, and looks old.
    find proxy -name '*.so' -exec touch {} +
    # What the compiled modules share is imported as a module of its own.
    for shared in build/*__mypyc.*.so; do
        [ ! -e "$shared" ] || mv "$shared" .
    done
}

[ -e $installed ] || make_venv
[ $installed -nt pyproject.toml ] || install_packages
[ "${1-}" != packages ] || exit 0
modules=$(compiled_modules)
# The names of modules hold no spaces.
# shellcheck disable=SC2086
is_fresh $modules || compile $modules
