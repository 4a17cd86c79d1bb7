#!/usr/bin/env bash
# deploy.sh ENVIRONMENT VERSION: what the deploy template runs through "$LINECLEAR_REPO/deploy.sh".
#
# It writes one file into the folder it is started in. Put your own deployment in its place. LINECLEAR_EPOCH grows with every
# grant of a lock in this home: hand it to the target and have the target refuse a smaller one than it has seen, and even a
# holder that was thought dead cannot write over its successor.
set -euo pipefail

environment=${1:?usage: deploy.sh ENVIRONMENT VERSION}
version=${2:?usage: deploy.sh ENVIRONMENT VERSION}

sleep 1
printf 'environment=%s version=%s epoch=%s\n' "$environment" "$version" "${LINECLEAR_EPOCH:-0}" > release
echo "released $version to $environment"
