# Sourced by what runs QEMU in the toolbox's chroot. Needs $toolbox, with the VM's image at /image in it and its /dev in place.

# acceleration_of any|kvm|tcg: says kvm or tcg. A machine can have /dev/kvm and be unable to run anything with it. So the
# kernel is tried on its own: it finds no disk, panics and reboots, which makes QEMU end well, within a second or two.
acceleration_of() {
    case $1 in
    any) if kvm_works; then echo kvm; else echo tcg; fi ;;
    kvm | tcg) echo "$1" ;;
    *) echo "no such accelerator: $1 (any, kvm or tcg)" >&2 && return 64 ;;
    esac
}

kvm_works() {
    [ -e "$toolbox/dev/kvm" ] && timeout --signal=KILL 10 chroot "$toolbox" qemu-system-x86_64 \
        -machine q35 -accel kvm -cpu max -m 128 -nodefaults -no-user-config -display none -no-reboot \
        -kernel /image/kernel -append "panic=-1" </dev/null >/dev/null 2>&1
}
