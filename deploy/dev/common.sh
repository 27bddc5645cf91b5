# shellcheck shell=sh
# Shared by the scripts beside it; sourced, not run.

say() {
    printf 'tidegate: %s\n' "$*" >&2
}

# Whether packages can be installed here without asking anybody.
can_apt() {
    [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ] && command -v apt-get >/dev/null
}

apt_install() {
    say "installing $*"
    export DEBIAN_FRONTEND=noninteractive
    apt_log=$(mktemp)
    # The package lists of a fresh machine may be missing or old.
    if apt-get install -qq -y --no-install-recommends "$@" >"$apt_log" 2>&1 ||
        { apt-get update -qq && apt-get install -qq -y --no-install-recommends "$@"; } >"$apt_log" 2>&1
    then
        rm -f "$apt_log"
    else
        tail -n 5 "$apt_log" >&2
        rm -f "$apt_log"
        say "apt-get could not install $*"
        return 1
    fi
}
