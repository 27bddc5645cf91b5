#!/bin/sh
# Install the servers that the demo, the tests and the benchmarks start for themselves.
#
#     setup-servers.sh [postgres] [mariadb] [pgbouncer] [haproxy] [redis] [sysbench]
#
# All of them when none is named. MySQL and its Router are not among them: what needs them fetches
# them into a folder of its own (proxy/demo/mysql_root.py).
# Nothing is started and no database cluster is made: only the programs are wanted.
# Does nothing, quickly, when they are there.
set -eu
cd "$(dirname "$0")/../.."
. deploy/dev/common.sh

PATH=$PATH:/usr/sbin:/usr/local/sbin
cluster_conf=/etc/postgresql-common/createcluster.conf
policy=/usr/sbin/policy-rc.d

has() {
    case $1 in
        postgres) command -v postgres >/dev/null ||
            find /usr/lib/postgresql /usr/pgsql-* -path '*/bin/postgres' 2>/dev/null | grep -q . ;;
        mariadb) command -v mariadbd >/dev/null && command -v mariadb-install-db >/dev/null ;;
        pgbouncer | haproxy | sysbench) command -v "$1" >/dev/null ;;
        redis) command -v redis-server >/dev/null ;;
        *) say "no such server: $1 (postgres, mariadb, pgbouncer, haproxy, redis, sysbench)"; exit 2 ;;
    esac
}

package() {
    case $1 in
        postgres) echo postgresql ;;
        mariadb) echo mariadb-server ;;
        redis) echo redis-server ;;
        *) echo "$1" ;;
    esac
}

# What we change while installing is put back, however we end.
restore() {
    [ -z "${made_policy-}" ] || rm -f "$policy"
    [ -z "${kept_conf-}" ] || mv "$kept_conf" "$cluster_conf"
}
trap restore EXIT

forbid_starting() {
    [ -e "$policy" ] && return
    made_policy=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
}

forbid_clusters() {
    [ -e "$cluster_conf" ] || apt_install postgresql-common
    kept_conf=$(mktemp)
    cp -p "$cluster_conf" "$kept_conf"
    echo 'create_main_cluster = false' >>"$cluster_conf"
}

[ $# -gt 0 ] || set -- postgres mariadb pgbouncer haproxy redis sysbench
missing=
for server in "$@"; do
    has "$server" || missing="$missing $(package "$server")"
done
[ -n "$missing" ] || exit 0

if ! can_apt; then
    say "not installed:$missing. On Debian or Ubuntu: apt-get install$missing (as root);" \
        "elsewhere install them and put their programs in PATH"
    exit 1
fi
forbid_starting
case $missing in *postgresql*) forbid_clusters ;; esac
# The names of packages hold no spaces.
# shellcheck disable=SC2086
apt_install $missing
