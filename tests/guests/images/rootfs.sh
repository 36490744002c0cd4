#!/bin/bash
# rootfs.sh SUITE DIR: builds a Debian guest with systemd, logind, PAM, sshd, D-Bus and the QEMU guest agent in DIR.
#
# The result serves container guests as it is (boot-container puts a writable layer over it) and is what vm.sh starts from.
# Everything this file and the folders beside it say is part of the image's key; see prepare.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
suite=$1 root=$2
users=(alice bob carol dave)
packages=(systemd systemd-sysv dbus libpam-systemd login passwd procps udev iproute2
    openssh-server openssh-client qemu-guest-agent
    dbus-tests) # a stand-in for a desktop's notification service

install_packages() {
    # shellcheck disable=SC2086 # an empty mirror must be no argument at all
    mmdebstrap --quiet --mode=root --variant=minbase --include="$(IFS=,; echo "${packages[*]}")" \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --aptopt='Acquire::Languages "none"' --aptopt='Apt::Install-Recommends "false"' \
        --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
        "$suite" "$root" ${CURFEW_TEST_MIRROR:-}
}

# The files of guest/ (any guest) and container/ (container guests only), owned by root whoever owns the checkout.
copy_files() {
    cp -R --remove-destination --no-preserve=ownership "$here/guest/." "$here/container/." "$root/"
    chmod -R u+rwX,go+rX,go-w "$root/usr/local/lib/curfew-test" "$root/etc/systemd" "$root/etc/ssh/sshd_config.d"
    : >"$root/etc/machine-id" # empty: each guest takes its own at boot
    rm -f "$root/var/lib/dbus/machine-id"
    echo guest >"$root/etc/hostname"
}

mask_units() {
    local unit
    while read -r unit; do
        ln -sfn /dev/null "$root/etc/systemd/system/$unit"
    done < <(grep -v '^#' "$here/container.mask")
}

# People log in by ssh from the guest itself: root's key opens everyone's account, and leads nowhere else.
add_users() {
    local user
    chmod 700 "$root/root/.ssh"
    ssh-keygen -q -t ed25519 -N '' -C curfew-test -f "$root/root/.ssh/id_ed25519"
    for user in "${users[@]}"; do
        chroot "$root" useradd --create-home --shell /bin/bash "$user"
        install -d -m 700 "$root/home/$user/.ssh"
        install -m 600 "$root/root/.ssh/id_ed25519.pub" "$root/home/$user/.ssh/authorized_keys"
        chroot "$root" chown -R "$user:$user" "/home/$user"
    done
}

install_packages
copy_files
mask_units
add_users
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -s ../qga-unix.service "$root/etc/systemd/system/multi-user.target.wants/"
