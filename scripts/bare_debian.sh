#!/usr/bin/env bash
# Proves that a bare Debian 12 needs nothing but this repository: makes a minimal system in a
# temporary folder, clones the repository into it, and runs both commands of the README there: the
# cluster serves on all its ports and under load, the tests pass.
# Root only. Needs debootstrap. Mirrors, keys and proxies are those of this machine.
#
#   scripts/bare_debian.sh [--bootstrap-only] [--quick]
#
# --bootstrap-only ends once the minimal system answers; --quick is passed to scripts/test.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/common.sh
source scripts/common.sh

suite=bookworm
bootstrap_only=0
test_arguments=()
for argument in "$@"; do
    case "$argument" in
        --bootstrap-only) bootstrap_only=1 ;;
        --quick) test_arguments+=(--quick) ;;
        *) die "usage: scripts/bare_debian.sh [--bootstrap-only] [--quick]" ;;
    esac
done
((EUID == 0)) || die "scripts/bare_debian.sh makes a chroot: run it as root"
install_packages debootstrap git

repository=$PWD
root=$(mktemp -d /var/tmp/bare_debian.XXXXXX)
chmod 755 "$root" # apt inside drops to a user of its own
clean_up() {
    local folder
    # What still runs inside would keep the mounts busy.
    for folder in /proc/[0-9]*; do
        if [[ "$(readlink "$folder/root" 2>/dev/null)" == "$root" ]]; then
            kill -9 "${folder#/proc/}" 2>/dev/null || true
        fi
    done
    for folder in dev proc; do
        if mountpoint -q "$root/$folder"; then
            # Lazily only when it must be: removing the tree with /dev still mounted would empty it.
            umount -R "$root/$folder" 2>/dev/null || umount -R -l "$root/$folder"
        fi
    done
    if mountpoint -q "$root/dev" || mountpoint -q "$root/proc"; then
        say "left behind, still mounted: $root" >&2
    else
        rm -rf --one-file-system "$root"
    fi
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# shellcheck disable=SC2016  # $(SITE) and the others are apt's
# This machine's own Debian sources as "site|release|component", whatever format its files have.
mapfile -t sources < <(apt-get indextargets --format '$(SITE)|$(RELEASE)|$(COMPONENT)' \
    'Created-By: Packages' | grep -E "\|$suite(-updates|-security)?\|" | sort -u)
mirror=$(printf '%s\n' "${sources[@]}" | sed -n "s/|$suite|main\$//p" | head -n 1)
[[ -n $mirror ]] || die "apt on this machine has no source for $suite main"

say "== minimal system in $root"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
keyring_option=()
[[ -f $keyring ]] && keyring_option=(--keyring="$keyring")
# Proxies that apt has in its configuration, for debootstrap's own downloads.
proxies=()
for protocol in http https; do
    proxy=$(apt-config dump --format '%v%n' "Acquire::$protocol::Proxy" 2>/dev/null | head -n 1)
    [[ -n $proxy && $proxy != DIRECT ]] && proxies+=("${protocol}_proxy=$proxy")
done
env "${proxies[@]}" debootstrap --variant=minbase "${keyring_option[@]}" \
    "$suite" "$root" "$mirror" </dev/null >"$root.log" 2>&1 || {
    tail -n 20 "$root.log" >&2
    rm -f "$root.log"
    die "debootstrap failed"
}
rm -f "$root.log"

mount --rbind /dev "$root/dev"
mount --make-rslave "$root/dev"
mount -t proc proc "$root/proc"
: >"$root/etc/apt/sources.list"
for source in "${sources[@]}"; do
    IFS='|' read -r site release component <<<"$source"
    printf 'deb %s %s %s\n' "$site" "$release" "$component" >>"$root/etc/apt/sources.list"
done
cp -a /etc/apt/trusted.gpg.d/. "$root/etc/apt/trusted.gpg.d/" 2>/dev/null || true
apt-config dump | grep -E '^Acquire::(http|https|ftp|Check-Valid-Until|Retries)[: ]' \
    >"$root/etc/apt/apt.conf.d/90machine" || true
for file in /etc/resolv.conf /etc/hosts; do
    [[ -f $file ]] && cp -L "$file" "$root$file"
done

# Runs a command line inside, with nothing of this shell's environment and no standard input.
# `inside_exec` takes the place of the (sub)shell, so that its pid is the command's.
inside_exec() {
    exec chroot "$root" /usr/bin/env -i HOME=/root TERM=dumb LANG=C.UTF-8 "${proxies[@]}" \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        bash -c "$1" </dev/null
}
inside() { (inside_exec "$1"); }
inside 'apt-get -q update >/dev/null'
say "$(inside 'dpkg-query -W | wc -l') packages in the bare system"
((bootstrap_only)) && exit 0

# The clone is made from outside: git itself is not needed to build.
say "== clone"
git clone -q --no-hardlinks "$repository" "$root/srv/kv_store"

say "== scripts/run_cluster.sh"
# A chroot shares the ports of this machine, which may have others at work: 16379 for 6379.
mkdir "$root/srv/conf"
for node in 1 2 3; do
    sed -E 's/(port = )([0-9]{4})$/\11\2/' "$root/srv/kv_store/conf/node$node.toml" \
        >"$root/srv/conf/node$node.toml"
done
started=$SECONDS
inside_exec 'cd /srv/kv_store && CONF_DIR=/srv/conf exec scripts/run_cluster.sh' \
    >"$root/srv/run.log" 2>&1 &
runner=$!
fail() {
    tail -n 40 "$root/srv/run.log" >&2
    die "$1"
}
until grep -q '^The cluster serves:' "$root/srv/run.log"; do
    kill -0 "$runner" 2>/dev/null || fail "run_cluster.sh ended before the cluster served"
    ((SECONDS - started < 1800)) || fail "no cluster after 1800 s"
    sleep 1
done
say "a cluster of three serves after $((SECONDS - started)) s, packages and build included"
# ask PORT COMMAND: the first line of the reply, or the value.
ask() {
    local line
    exec 3<>"/dev/tcp/127.0.0.1/$1" && printf '%s\r\n' "$2" >&3
    read -r line <&3
    if [[ $line == \$[0-9]* ]]; then read -r line <&3; fi
    exec 3>&-
    printf '%s' "${line%$'\r'}"
}
[[ $(ask 16379 'SET greeting hello') == +OK ]] || fail "node 1 does not take a SET"
for port in 16379 16380 16381; do
    [[ $(ask "$port" 'GET greeting') == hello ]] || fail "port $port does not know what was set"
done
say "what one node took, all three answer"
# Load through a node that leads a third of it; the others' part it forwards.
inside '/srv/kv_store/build/bin/kv-bench --protocol resp --port 16380 -d 5s --keys 10000' ||
    fail "kv-bench had errors"
grep -q '^\*\*\*' "$root/srv/run.log" && fail "a node did not bear the load"
[[ $(ask 16381 'GET greeting') == hello ]] || fail "what was set is gone after the load"
say "load: no errors"
kill -TERM "$runner"
code=0
wait "$runner" || code=$?
((code == 0)) || fail "run_cluster.sh ended with exit code $code after SIGTERM"
say "SIGTERM: exit code 0"

say "== scripts/test.sh ${test_arguments[*]}"
inside "cd /srv/kv_store && scripts/test.sh ${test_arguments[*]}" 2>&1 | tee "$root/srv/test.log"
tail -n 1 "$root/srv/test.log" | grep -Eq '^[1-9][0-9]* passed, 0 failed$' ||
    die "scripts/test.sh did not pass"
say "A bare Debian 12 runs both commands."
