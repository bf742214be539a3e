# What the measuring scripts share. Sourced after scripts/common.sh, never run.
# shellcheck shell=bash

# The comment at the top of a script is its help.
usage() { # SCRIPT
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$1"
    exit 0
}
need_programs() { # BUILD PROGRAM...
    local build=$1 program
    shift
    for program in "$@"; do
        [[ -x $build/bin/$program ]] ||
            die "$build/bin/$program is missing: run scripts/build.sh first"
    done
}
need_commands() { # COMMAND:PACKAGE...
    local each
    for each in "$@"; do
        command -v "${each%%:*}" >/dev/null ||
            die "${each%%:*} is missing: apt-get install ${each#*:}, then try again"
    done
}
note() { printf '%s\n' "$*" >&2; }

machine() { # DIRECTORY: one line on what is measured on
    local cpu
    cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
    say "$(nproc) x $cpu, Linux $(uname -r), $(df --output=fstype "$1" | tail -n 1)"
}

field() { # NAME JSON: a number of a kv-bench summary
    sed -n "s/.*\"$1\":\([0-9.]*\).*/\1/p" <<<"$2"
}
# PORT: whether PING is answered with PONG; a server that still loads says so instead.
answers() {
    local reply=
    { exec 3<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null || return 1
    printf 'PING\r\n' >&3
    read -r -t 2 reply <&3 || true
    exec 3>&-
    [[ $reply == +PONG* ]]
}
rss_mib() { # PID
    awk '/^VmRSS:/ { printf "%.0f", $2 / 1024 }' "/proc/$1/status"
}
seconds_now() { date +%s.%N; }

# Reads numbers, prints "median lowest highest".
median_and_range() {
    sort -g | awk '{ a[NR] = $1 }
        END { if (NR) print NR % 2 ? a[(NR + 1) / 2] : (a[NR / 2] + a[NR / 2 + 1]) / 2, a[1], a[NR]
              else print "- - -" }'
}
thousands() { # NUMBER
    awk -v x="$1" 'BEGIN {
        if (x >= 999500) printf "%.2fM", x / 1e6
        else if (x >= 1000) printf "%.0fk", x / 1e3
        else printf "%.0f", x
    }'
}
ratio() { # OF TO
    awk -v of="$1" -v to="$2" 'BEGIN { if (to > 0) printf "%.2f", of / to; else printf "-" }'
}
