#!/bin/bash
# vm.sh CONTAINER_IMAGE DIR: makes a bootable VM of a container guest's image: DIR/kernel, DIR/initrd, DIR/root.ext4.
#
# The disk is read-only and shared by all VMs; the initrd puts a writable layer in the guest's memory over it.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
image=$1 out=$2
root=$out/root initrd=$out/initrd.d packages=$out/packages
# Everything virtio is a module in Debian's cloud kernel. In the order of their dependencies, since busybox only inserts.
# Without button and evdev the guest ignores a power-off from outside.
modules=(virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk virtio_console overlay
    button evdev)

# Unpacked, not installed: only the kernel, its modules and one static binary are wanted.
unpack_kernel() {
    # shellcheck disable=SC2086 # an empty mirror must be no argument at all
    mmdebstrap --quiet --mode=root --variant=extract --include=linux-image-cloud-amd64,busybox-static \
        --aptopt='Acquire::Languages "none"' --aptopt='Apt::Install-Recommends "false"' \
        --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
        bookworm "$packages" ${CURFEW_TEST_MIRROR:-}
    cp "$packages"/boot/vmlinuz-* "$out/kernel"
}

# The container's files and masks are taken back, the VM's are put in their place.
make_root() {
    local unit file
    cp -a "$image" "$root"
    while read -r file; do
        rm "$root/$file"
        rm -f "$root/etc/systemd/system/multi-user.target.wants/${file##*/}"
    done < <(cd "$here/container" && find . -type f)
    while read -r unit; do
        rm -f "$root/etc/systemd/system/$unit"
    done < <(grep -v '^#' "$here/container.mask")
    cp -R --remove-destination --no-preserve=ownership "$here/vm/." "$root/"
    chmod -R u+rwX,go+rX,go-w "$root/etc/systemd"
    while read -r unit; do
        ln -sfn /dev/null "$root/etc/systemd/system/$unit"
    done < <(grep -v '^#' "$here/vm.mask")
    mkdir -p "$root/lib/modules"
    truncate -s 400M "$out/root.ext4"
    mkfs.ext4 -q -F -O ^has_journal -m 0 -d "$root" "$out/root.ext4"
}

make_initrd() {
    local module file number=10
    mkdir -p "$initrd"/{bin,modules,proc,sys,dev,lower,layer,root}
    cp "$packages/bin/busybox" "$initrd/bin/busybox"
    install -m 755 "$here/initramfs/init" "$initrd/init"
    for module in "${modules[@]}"; do
        file=$(find "$packages/lib/modules" -name "$module.ko")
        [ -n "$file" ] || { echo "vm.sh: the kernel has no module $module" >&2 && exit 1; }
        cp "$file" "$initrd/modules/$((number += 1))-$module.ko"
    done
    (cd "$initrd" && find . | "$packages/bin/busybox" cpio -o -H newc 2>/dev/null | gzip -1) >"$out/initrd"
}

mkdir -p "$out"
unpack_kernel
make_root
make_initrd
rm -rf --one-file-system "$root" "$initrd" "$packages"
