# Asks one session to end, if it still is that session, what must hold still holds, and there is still time.
# $1 boot  $2 session id  $3 its object path  $4 its Timestamp  $5 signal, 9 to force  $6 latest uptime in 1/100 s
# $7 "active", "disconnected" or empty: the state it must be in  $8 empty, or for how many ms it must have been idle
wanted=$1 id=$2 path=$3 began=$4 signal=$5 latest=$6 state=$7 idle=$8
manager="busctl call $bus /org/freedesktop/login1 $bus.Manager"
[ "$boot" = "$wanted" ] || exit 21

explain() {
    case $said in
    *'No session'* | *'Unknown object'*) exit 20 ;;
    *[Aa]'ccess denied'* | *'ermission denied'* | *'uthentication required'*) printf '%s\n' "$said" >&2; exit 23 ;;
    esac
}
# $1 State  $2 Seat's id  $3 Type  $4 IdleHint  $5 IdleSinceHint, as the reader of the list takes them.
still_matches() {
    [ "$1" != '"closing"' ] || return 0
    is=active
    [ "$1" != '"online"' ] || [ "$2" = '""' ] || is=disconnected
    [ -z "$state" ] || [ "$state" = "$is" ] || return 1
    [ -n "$idle" ] || return 0
    case $3 in '"x11"' | '"wayland"' | '"mir"') [ "$4" = true ] || { [ "$idle" = 0 ]; return; } ;; esac
    [ "$5" != 0 ] && [ $(($(clock) - $5 / 1000)) -ge "$idle" ]
}
check() {
    properties "$path" Timestamp State Seat Type IdleHint IdleSinceHint || {
        explain
        printf '%s\n' "$said" >&2
        exit 32
    }
    # Each property is its type and its value, the seat two: its id and its path.
    set -- $said
    [ "$1 $2" = "t $began" ] || exit 21
    still_matches "$4" "$6" "$9" "${11}" "${13}" || exit 24
    in_time "$latest"
}

check
if [ "$signal" = 9 ]; then
    said=$($manager TerminateSession s "$id" 2>&1) || { explain; printf '%s\n' "$said" >&2; exit 33; }
fi
said=$($manager KillSession ssi "$id" all "$signal" 2>&1) && exit 0
# TerminateSession was enough, or will be.
[ "$signal" = 9 ] && exit 0
explain
case $said in
# Nothing is left in it that could be asked; only looking again tells whether it goes.
*'No such process'* | *'not loaded'* | *'not running'*) exit 0 ;;
esac
printf '%s\n' "$said" >&2
exit 33
