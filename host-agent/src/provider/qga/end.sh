# Asks one session to end, if it still is that session and there is still time.
# $1 boot  $2 session id  $3 its object path  $4 its Timestamp  $5 signal, 9 to force  $6 latest uptime in 1/100 s
PATH=/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin
LC_ALL=C
export PATH LC_ALL
set -f
id=$2 path=$3 began=$4 signal=$5 latest=$6 wanted=$1
bus=org.freedesktop.login1
manager="busctl call $bus /org/freedesktop/login1 $bus.Manager"
read -r boot </proc/sys/kernel/random/boot_id && read -r stat </proc/1/stat || exit 30
set -- ${stat##*) }
[ "$boot:${20}" = "$wanted" ] || exit 21

explain() {
    case $said in
    *'No session'* | *'Unknown object'*) exit 20 ;;
    *[Aa]'ccess denied'* | *'ermission denied'* | *'uthentication required'*) printf '%s\n' "$said" >&2; exit 23 ;;
    esac
}
check() {
    said=$(busctl get-property $bus "$path" $bus.Session Timestamp 2>&1) || {
        explain
        printf '%s\n' "$said" >&2
        exit 32
    }
    [ "$said" = "t $began" ] || exit 21
    read -r uptime rest </proc/uptime || exit 30
    [ "${uptime%.*}${uptime#*.}" -le "$latest" ] || exit 22
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
