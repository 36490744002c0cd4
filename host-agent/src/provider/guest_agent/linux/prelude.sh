# Stands before every script. Gives $boot, and the functions that several of them need.
PATH=/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin
LC_ALL=C
export PATH LC_ALL
set -f
umask 022
bus=org.freedesktop.login1
# Guests that share a kernel share its boot id, but not the moment their first process began (field 22).
first_process() { shift 19; printf '%s' "$1"; }
read -r boot </proc/sys/kernel/random/boot_id && read -r stat </proc/1/stat || exit 30
fields=${stat##*) }
boot=$boot:$(first_process $fields)
# $1 latest uptime in 1/100 s
in_time() {
    read -r uptime rest </proc/uptime || exit 30
    [ "${uptime%.*}${uptime#*.}" -le "$1" ] || exit 22
}
# The guest's wall clock in milliseconds; in whole seconds where date knows no better.
clock() {
    now=$(date +%s%3N)
    case $now in '' | *[!0-9]*) now=$(date +%s)000 ;; esac
    printf '%s' "$now"
}
# Property $2 and following of the session at path $1, one line each as busctl prints them. Sets $said.
properties() {
    object=$1
    shift
    said=$(busctl get-property $bus "$object" $bus.Session "$@" 2>&1)
}
# Where the processes of the scope $1 are listed, under any layout of control groups.
process_lists() {
    group=$(systemctl show --property=ControlGroup -- "$1")
    group=${group#ControlGroup=}
    case $group in /?*) ;; *) return ;; esac
    for root in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
        [ -r "$root$group/cgroup.procs" ] || continue
        find "$root$group" -name cgroup.procs 2>/dev/null
        return
    done
}
# The processes of the scope $1; a session has hundreds at most, and no more are looked at.
processes_of() {
    case $1 in session-*[!A-Za-z0-9]*.scope | *[!A-Za-z0-9.-]*) return ;; session-*.scope) ;; *) return ;; esac
    process_lists "$1" | while read -r procs; do cat -- "$procs" 2>/dev/null; done | head -n 500
}
