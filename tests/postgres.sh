# What tests/run and bench/run share: packages that the machine lacks, a private PostgreSQL cluster, and one
# command in a process group of its own. To be sourced by bash under `set -euo pipefail`, from the project's top.
#
# Installing takes Debian's packages and root or `sudo` without a password. The cluster is made anew in a
# temporary directory, listens on a free port of the loopback address only, and is removed again however the
# script ends. With TEST_POSTGRES_URL set (a superuser's URL, or one of a role that may CREATE DATABASE) no
# cluster is made and that server is used.

readonly OLDEST_POSTGRES=15

say() { printf '%s: %s\n' "${0#./}" "$*" >&2; }
die() { say "$*"; exit 1; }

# ---- what the machine lacks ------------------------------------------------------------------------------

install_packages() { # what for, packages…
    local purpose=$1 as_root=()
    shift
    command -v apt-get >/dev/null ||
        die "$purpose is missing, and this machine has no apt-get to install it with: please install $*."
    if [ "$(id -u)" -ne 0 ]; then
        sudo -n true 2>/dev/null ||
            die "$purpose is missing, and neither root nor passwordless sudo is at hand: please run 'apt-get install $*' as root."
        as_root=(sudo -n)
    fi
    say "$purpose is missing: installing $*"
    local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
    "${apt[@]}" update </dev/null >&2 || true # one unreachable source need not matter
    "${apt[@]}" install --yes --no-install-recommends "$@" </dev/null >&2 ||
        die "apt-get could not install $*: its message stands above."
}

need_rust_and_c() {
    command -v cargo >/dev/null || die "Rust is missing: see https://rustup.rs"
    command -v cc >/dev/null || install_packages "a C compiler (SQLite and ring are built from C)" gcc libc6-dev
}

# Prints the directory of the newest PostgreSQL programs, nothing when there are none young enough.
postgres_programs() {
    local directory version newest=0 found=
    for directory in /usr/lib/postgresql/*/bin "$(dirname "$(command -v initdb || echo /nowhere/initdb)")"; do
        [ -x "$directory/initdb" ] && [ -x "$directory/pg_ctl" ] && [ -x "$directory/postgres" ] || continue
        version=$("$directory/postgres" --version | sed -E 's/[^0-9]*([0-9]+).*/\1/')
        if [ "$version" -ge "$OLDEST_POSTGRES" ] && [ "$version" -gt "$newest" ]; then
            newest=$version found=$directory
        fi
    done
    printf '%s' "$found"
}

# ---- the private cluster ---------------------------------------------------------------------------------

cluster=        # its directory, once made
cluster_user=() # how to become its owner: PostgreSQL refuses to run as root
running_group=  # the process group of the running command

# In the cluster's directory, because its owner may not enter ours.
as_cluster_user() { (cd "$cluster" && "${cluster_user[@]}" "$@" </dev/null); }

start_cluster() { # settings as name=value…; exports TEST_POSTGRES_URL
    [ -z "${TEST_POSTGRES_URL:-}" ] || return 0
    local programs attempt port setting settings=
    programs=$(postgres_programs)
    if [ -z "$programs" ]; then
        install_packages "PostgreSQL $OLDEST_POSTGRES or later" postgresql
        programs=$(postgres_programs)
        [ -n "$programs" ] ||
            die "this machine's package 'postgresql' is older than $OLDEST_POSTGRES: install a newer one, or set TEST_POSTGRES_URL."
    fi
    # /tmp whatever TMPDIR says: its owner must be able to enter it, and a socket's path must be short.
    cluster=$(mktemp -d /tmp/soulsense-postgres.XXXXXX)
    if [ "$(id -u)" -eq 0 ]; then
        local user=nobody
        if id postgres >/dev/null 2>&1; then user=postgres; fi
        cluster_user=(setpriv "--reuid=$(id -u "$user")" "--regid=$(id -g "$user")" --clear-groups)
        chown "$(id -u "$user"):$(id -g "$user")" "$cluster"
    fi
    as_cluster_user "$programs/initdb" --pgdata="$cluster/data" --username=postgres --auth=trust \
        --encoding=UTF8 --locale=C.UTF-8 --no-sync >"$cluster/initdb.log" 2>&1 ||
        { cat "$cluster/initdb.log" >&2; die "initdb failed: its message stands above."; }
    for setting in "$@"; do settings+=" -c $setting"; done
    for attempt in {1..20}; do
        port=$((20000 + RANDOM % 12000)) # below the ports that the kernel gives to clients
        if as_cluster_user "$programs/pg_ctl" start --pgdata="$cluster/data" --log="$cluster/server.log" \
            --wait --timeout=60 --silent --options="-c listen_addresses=127.0.0.1 -c port=$port \
                -c unix_socket_directories=$cluster$settings" 2>/dev/null; then
            export TEST_POSTGRES_URL="postgres://postgres@127.0.0.1:$port/postgres"
            cluster_programs=$programs
            return
        fi
        grep -q 'could not create any TCP/IP sockets' "$cluster/server.log" || break
        : >"$cluster/server.log"
    done
    cat "$cluster/server.log" >&2
    die "the private PostgreSQL did not start (attempt $attempt): its log stands above."
}

clean_up() {
    local status=$?
    trap - EXIT
    trap '' INT TERM HUP
    if [ -n "$running_group" ]; then kill -TERM -- "-$running_group" 2>/dev/null || true; fi
    if [ -n "$cluster" ]; then
        if [ -e "$cluster/data/postmaster.pid" ]; then
            as_cluster_user "$cluster_programs/pg_ctl" stop --pgdata="$cluster/data" --mode=immediate --silent || true
        fi
        rm -rf "$cluster"
    fi
    exit "$status"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# Runs a command in a process group of its own, so that a signal to the script ends all that it started.
in_group() {
    local status=0
    set -m
    "$@" </dev/null &
    running_group=$!
    set +m
    wait "$running_group" || status=$?
    running_group=
    return "$status"
}
