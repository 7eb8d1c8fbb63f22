#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# See that the system has what Halma is built, tested and shown with; as root on Debian and Ubuntu, install what it lacks.
#
# Anyone else is told what to install, and what stays undone without it. Fails only when the virtual environment cannot be
# made. Costs a few file checks when nothing is missing.
set -eu
PATH=$PATH:/usr/sbin:/sbin
python=${1:-python3}

missing=
wanted() { # PACKAGE WHAT-FOR CHECK...: the package is wanted unless the check succeeds
    package=$1 purpose=$2
    shift 2
    if ! "$@" >/dev/null 2>&1; then
        missing="$missing $package"
        reasons="${reasons:-}    $package: $purpose
"
    fi
}

program() {
    command -v "$1"
}

header() {
    [ -e "/usr/include/$1" ] || [ -e "/usr/include/$(uname -m)-linux-gnu/$1" ]
}

wanted python3-venv "the virtual environment" "$python" -c 'import ensurepip, venv'
wanted gcc "the compiled modules" program cc
wanted python3-dev "the compiled modules" "$python" -c 'import pathlib, sysconfig; pathlib.Path(sysconfig.get_path("include"), "Python.h").stat()'
wanted clang "the data plane in BPF" program clang
wanted llvm "the data plane in BPF" program llvm-strip
wanted libbpf-dev "the data plane in BPF" header bpf/bpf_helpers.h
wanted linux-libc-dev "the data plane in BPF" header asm/types.h
wanted iproute2 "the lab" program ip
wanted nftables "the lab" program nft
wanted iputils-ping "the lab" program ping
wanted tshark "the tests that let Wireshark judge our messages" program tshark
wanted tcpdump "the tests that listen to a mobile node" program tcpdump
wanted dnsmasq-base "the tests that ask a name server for home agents" program dnsmasq
wanted busybox-static "the tests on a stock kernel" program busybox

[ -n "$missing" ] || exit 0

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "setup: installing$missing"
    DEBIAN_FRONTEND=noninteractive
    export DEBIAN_FRONTEND
    mkdir -p build
    log=build/packages.log
    # shellcheck disable=SC2086 # package names are words
    if { apt-get update && apt-get install --yes --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
        exit 0
    fi
    tail -n 20 "$log" >&2
    echo "setup: apt-get could not install them" >&2
    exit 1
fi

{
    echo "setup: this system lacks packages (names are Debian's), and only root can install them:"
    printf '%s' "$reasons"
    echo "setup: as root: apt-get install$missing"
} >&2
case " $missing " in
    *" python3-venv "*) exit 1 ;;
esac
