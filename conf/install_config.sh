#!/bin/sh
# install_config.sh FILE TARGET: puts a configuration into place where there is none yet. A file
# that somebody may have changed is not written over.
set -eu
target=${DESTDIR:-}$2
[ -e "$target" ] && exit 0
mkdir -p "$(dirname "$target")"
install -m 644 "$1" "$target"
