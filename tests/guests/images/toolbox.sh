#!/bin/bash
# toolbox.sh DIR: builds the chroot that qemu runs in. It is a chroot because Debian's qemu packages would replace what
# the machine that runs the tests may have of its own.
set -euo pipefail

root=$1
# shellcheck disable=SC2086 # an empty mirror must be no argument at all
mmdebstrap --quiet --mode=root --variant=minbase --include=qemu-system-x86 \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --aptopt='Acquire::Languages "none"' --aptopt='Apt::Install-Recommends "false"' \
    --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
    bookworm "$root" ${CURFEW_TEST_MIRROR:-}
# Where boot-vm shows it the guests' folder and the VM's image.
mkdir -p "$root/lab" "$root/image"
