# Sourced by boot-container and enter: the capabilities over the machine, rather than over the guest, that no process in a
# container guest gets. The kernel is the host's.
# shellcheck shell=bash disable=SC2034
withheld=-sys_time,-sys_module,-sys_rawio,-syslog,-wake_alarm,-mac_admin,-mac_override,-audit_read,-bpf,-perfmon,-mknod
