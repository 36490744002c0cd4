#!/bin/bash
# toolbox.sh DIR: builds the chroot that qemu, libvirt's daemon and virsh run in. It is a chroot because Debian's packages
# of them would replace what the machine that runs the tests may have of its own.
set -euo pipefail

root=$1
# shellcheck disable=SC2086 # an empty mirror must be no argument at all
mmdebstrap --quiet --mode=root --variant=minbase \
    --include=qemu-system-x86,libvirt-daemon-driver-qemu,libvirt-daemon-system,libvirt-clients \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --aptopt='Acquire::Languages "none"' --aptopt='Apt::Install-Recommends "false"' \
    --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
    bookworm "$root" ${CURFEW_TEST_MIRROR:-}
# No login manager, cgroups, namespaces or log daemon of libvirt's own: the tests' are enough, and root is all there is.
cat >"$root/etc/libvirt/qemu.conf" <<'CONF'
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
cgroup_controllers = [ ]
namespaces = [ ]
stdio_handler = "file"
CONF
cat >"$root/etc/libvirt/libvirtd.conf" <<'CONF'
auth_unix_rw = "none"
auth_unix_ro = "none"
log_outputs = "3:stderr"
CONF
# Where boot-vm and start-libvirt show it the guests' folder and the VM's image.
mkdir -p "$root/lab" "$root/image"
