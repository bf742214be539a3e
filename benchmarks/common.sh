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

# --- a disturbed machine -------------------------------------------------------------------------

# Time of all CPUs in ticks: "all stolen busy".
cpu_times() {
    awk '/^cpu /{ print $2+$3+$4+$5+$6+$7+$8+$9, $9, $2+$3+$4+$7+$8; exit }' /proc/stat
}
# Ticks of these processes, and of this script with the generators it has run.
own_times() { # PID...
    local pid
    {
        for pid in "$@"; do sed 's/.*) //; s/$/ server/' "/proc/$pid/stat"; done
        sed 's/.*) //' "/proc/$$/stat"
    } | awk '{ sum += $12 + $13 } !/server$/ { sum += $14 + $15 } END { print sum }'
}
# "stolen others": what the host and other processes took of the CPUs, in percent.
disturbance() { # BEFORE AFTER OWN: two of cpu_times, and the ticks of own_times between them
    awk -v own="$3" '
        NR == 1 { all = $1; stolen = $2; busy = $3 }
        NR == 2 {
            all = $1 - all; other = $3 - busy - own
            other = other > 0 ? other : 0
            printf "%.1f %.1f\n", 100 * ($2 - stolen) / all, 100 * other / all
        }' <<<"$1"$'\n'"$2"
}
# Waits until little else runs. In the half second before, the servers were idle.
await_quiet() { # PERCENT SECONDS: of the CPUs; how long at most
    local i before after
    for ((i = 0; i < 2 * $2; ++i)); do
        before=$(cpu_times)
        sleep 0.5
        after=$(cpu_times)
        awk -v max="$1" 'NR == 1 { all = $1; used = $2 + $3 }
            NR == 2 { exit !(100 * ($2 + $3 - used) <= max * ($1 - all)) }' \
            <<<"$before"$'\n'"$after" && break
    done
    return 0
}

# --- figures -------------------------------------------------------------------------------------

# Reads numbers, prints "median lowest highest".
median_and_range() {
    sort -g | awk '{ a[NR] = $1 }
        END { if (NR) print NR % 2 ? a[(NR + 1) / 2] : (a[NR / 2] + a[NR / 2 + 1]) / 2, a[1], a[NR]
              else print "- - -" }'
}
thousands() { # NUMBER
    awk -v x="$1" 'BEGIN {
        if (x >= 999500) printf "%.2fM", x / 1e6
        else if (x >= 99950) printf "%.0fk", x / 1e3
        else if (x >= 1000) printf "%.1fk", x / 1e3
        else printf "%.0f", x
    }'
}
ratio() { # OF TO
    awk -v of="$1" -v to="$2" 'BEGIN { if (to > 0) printf "%.2f", of / to; else printf "-" }'
}
