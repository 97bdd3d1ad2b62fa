#!/bin/bash
# What pip cannot bring: Python with venv and headers, and a C++ compiler. Installs what is missing where it may
# (root with apt-get); names it in one line to type where it may not.  Usage: machine.sh PYTHON
set -euo pipefail
python=$1

if [ "$(uname -sm)" != 'Linux x86_64' ]; then
    echo "The ROS 2 wheels exist for Linux x86-64 only, this is $(uname -sm): use an installed ROS 2 and colcon." >&2
    exit 1
fi

missing=()
command -v c++ >/dev/null || missing+=(g++)
if ! command -v "$python" >/dev/null; then
    name=$(basename "$python")
    missing+=("$name" "$name-venv" "$name-dev")
else
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    case $version in
        3.1[0-4]) ;;
        *) echo "$python is Python $version; the ROS 2 wheels need 3.10 to 3.14: make PYTHON=python3.11 ..." >&2; exit 1 ;;
    esac
    "$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=("python$version-venv")
    "$python" -c 'import os, sysconfig
raise SystemExit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' \
        || missing+=("python$version-dev")
fi
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "Installing ${missing[*]} with apt-get ..."
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
    echo "This machine lacks ${missing[*]}. Type:  sudo apt-get install ${missing[*]}" >&2
    exit 1
fi
