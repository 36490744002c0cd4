# Lists logind's sessions. $1 is "processes" where their processes are to be named too. Prints one line each: "boot", "now",
# "list", then per session "session PATH PROPERTIES" or "failed PATH", lines "process ID NAME", a second "list" if one
# failed, and "end". What is printed is checked by the reader.
printf 'boot %s\n' "$boot"
printf 'now %s\n' "$(clock)"
sessions() { busctl -j call $bus /org/freedesktop/login1 $bus.Manager ListSessions; }
# Eight names at most, each once.
name_processes() {
    properties "$1" Id Scope || return
    set -- $said
    [ $# -eq 4 ] || return
    id=${2#\"} scope=${4#\"} names= count=0
    id=${id%\"} scope=${scope%\"}
    for process in $(processes_of "$scope"); do
        IFS= read -r name <"/proc/$process/comm" || continue
        case $names in *"/$name/"*) continue ;; esac
        names="$names/$name/" count=$((count + 1))
        printf 'process %s %s\n' "$id" "$name"
        [ "$count" -lt 8 ] || return
    done 2>/dev/null
}
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
        [ "$1" != processes ] || name_processes "$path"
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
