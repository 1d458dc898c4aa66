#!/bin/sh
# Debian's mosquitto, influxdb and victoria-metrics for the tests, which start their own instances on loopback, and
# libfaketime, which sets the clock of a single process.
# What Debian would start by itself on installation is kept from starting; services that already run are left alone.
set -eu
PATH=$PATH:/usr/sbin
missing=
command -v mosquitto >/dev/null || missing="$missing mosquitto"
command -v influxd >/dev/null || missing="$missing influxdb"
command -v victoria-metrics >/dev/null || missing="$missing victoria-metrics"
command -v systemd-analyze >/dev/null || missing="$missing systemd"
command -v openssl >/dev/null || missing="$missing openssl"
command -v faketime >/dev/null || missing="$missing faketime"
command -v fiu-run >/dev/null || missing="$missing fiu-utils libfiu0"
command -v mkfs.ext4 >/dev/null || missing="$missing e2fsprogs"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then sudo=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo=sudo
else
    echo "servers.sh: not root and no sudo: tests that need$missing will be skipped (with CI=true: fail)" >&2
    exit 0
fi

policy=/usr/sbin/policy-rc.d   # Debian's own switch: 101 = do not start services now
ours=
if [ ! -e "$policy" ]; then
    ours=yes
    trap '[ -z "$ours" ] || $sudo rm -f "$policy"' EXIT INT TERM
    printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
    $sudo chmod 755 "$policy"
fi
$sudo apt-get update -q
# shellcheck disable=SC2086 # a list of package names
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -q -y --no-install-recommends $missing
