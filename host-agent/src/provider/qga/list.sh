# Lists logind's sessions. Prints one line each: "boot", "now", "list", then per session "session PATH PROPERTIES" or
# "failed PATH", a second "list" if one failed, and "end". What is printed is checked by the reader.
PATH=/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin
LC_ALL=C
export PATH LC_ALL
set -f
read -r boot </proc/sys/kernel/random/boot_id && read -r stat </proc/1/stat || exit 30
# Guests that share a kernel share its boot id, but not the moment their first process began (field 22).
set -- ${stat##*) }
printf 'boot %s:%s\n' "$boot" "${20}"
printf 'now %s\n' "$(date +%s)"
bus=org.freedesktop.login1
sessions() { busctl -j call $bus /org/freedesktop/login1 $bus.Manager ListSessions; }
command -v busctl >/dev/null || { printf 'busctl is not there\n' >&2; exit 31; }
list=$(sessions) || {
    printf 'system %s\n' "$(systemctl is-system-running 2>/dev/null)"
    exit 32
}
printf 'list %s\n' "$list"
failed=
for path in $(printf '%s' "$list" | tr -c 'A-Za-z0-9_/' '\n' | grep -x '/org/freedesktop/login1/session/[A-Za-z0-9_]*'); do
    if session=$(busctl -j call $bus "$path" org.freedesktop.DBus.Properties GetAll s $bus.Session); then
        printf 'session %s %s\n' "$path" "$session"
    else
        printf 'failed %s\n' "$path"
        failed=1
    fi
done
if [ -n "$failed" ]; then
    list=$(sessions) || exit 32
    printf 'list %s\n' "$list"
fi
printf 'end\n'
