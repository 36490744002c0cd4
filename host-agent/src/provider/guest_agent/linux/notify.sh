# Shows a text to sessions, each if it still is that session, on its terminals and on its desktop's notification bus.
# $1 boot  $2 latest uptime in 1/100 s  $3 text  $4 the same in a desktop's markup, then for each session
# its object path and its Timestamp. Prints a word and a colon for each, in order, and "end". Exits with 21 after a reboot.
wanted=$1 latest=$2 text=$3 markup=$4
shift 4
desktops=
[ "$boot" = "$wanted" ] || exit 21
command -v busctl >/dev/null || { printf 'busctl is not there\n' >&2; exit 31; }

# The controlling terminals of the scope's processes, as numbers of devices (field 7), and the one that logind names.
terminals() {
    case $2 in '' | *[!A-Za-z0-9/]* | /*) ;; *) printf '/dev/%s\n' "$2" ;; esac
    for process in $(processes_of "$1"); do
        # A program's name may hold line ends; what counts follows it, on the last line.
        stat=
        while IFS= read -r line; do stat=$line; done <"/proc/$process/stat"
        device ${stat##*) }
    done 2>/dev/null | sort -u
}
# Field 7 is the fifth after the name: the major number in bits 8 to 19, the minor one around it.
device() {
    case $5 in '' | 0 | *[!0-9]*) return ;; esac
    major=$((($5 >> 8) & 0xfff)) minor=$((($5 & 0xff) | (($5 >> 12) & 0xfff00)))
    [ "$major" != 136 ] || { printf '/dev/pts/%s\n' "$minor"; return; }
    while IFS= read -r line; do
        case $line in DEVNAME=*) printf '/dev/%s\n' "${line#DEVNAME=}" ;; esac
    done <"/sys/dev/char/$major:$minor/uevent"
}
# A terminal that is stopped, or full because nobody reads it, takes nothing and holds up nobody.
write_to() {
    [ -c "$1" ] && printf '\r\n\a\r\nCurfew (%s):\r\n%s\r\n\r\n' "$(date -u '+%H:%M UTC')" "$text" |
        timeout -s KILL 2 dd of="$1" bs=64k iflag=fullblock oflag=nonblock,noctty conv=notrunc,nocreat 2>/dev/null
}
# As user $1, who may have put anything on his bus: nothing that comes back is looked at, and it is tried once for all of
# his sessions.
tell_desktop() {
    case $desktops in *" $1:shown "*) return 0 ;; *" $1:not "*) return 1 ;; esac
    if group=$(id -g -- "$1") && runtime=/run/user/$1 &&
        timeout -s KILL 3 setpriv --reuid="$1" --regid="$group" --clear-groups --no-new-privs -- \
            env -i PATH="$PATH" XDG_RUNTIME_DIR="$runtime" DBUS_SESSION_BUS_ADDRESS="unix:path=$runtime/bus" \
            busctl --user --timeout=2 --quiet -- call org.freedesktop.Notifications /org/freedesktop/Notifications \
            org.freedesktop.Notifications Notify susssasa\{sv\}i \
            Curfew 0 system-log-out Curfew "$markup" 0 1 urgency y 2 0 </dev/null >/dev/null 2>&1; then
        desktops="$desktops $1:shown "
    else
        desktops="$desktops $1:not "
        return 1
    fi
}
# $1 the session's path  $2 its Timestamp
tell() {
    in_time "$latest"
    properties "$1" Timestamp Type TTY Scope User || {
        case $said in *'No session'* | *'Unknown object'*) printf 'gone:' ;; *) printf 'failed:' ;; esac
        return
    }
    began=$2
    set -- $said
    [ "$1 $2" = "t $began" ] || { printf 'gone:'; return; }
    kind=$4 tty=${6#\"} scope=${8#\"} uid=${10}
    tty=${tty%\"} scope=${scope%\"} shown= tried=
    case $kind in '"x11"' | '"wayland"' | '"mir"')
        # The console that a desktop was started from is hidden beneath it.
        tty= tried=desktop
        case $uid in '' | *[!0-9]*) ;; *) tell_desktop "$uid" && shown=1 ;; esac
        ;;
    esac
    count=0
    for terminal in $(terminals "$scope" "$tty" | sort -u); do
        tried=terminal count=$((count + 1))
        [ "$count" -le 16 ] || break
        write_to "$terminal" && shown=1
    done
    if [ -n "$shown" ]; then printf 'shown:'; else printf '%s:' "${tried:-nowhere}"; fi
}

in_time "$latest"
while [ $# -ge 2 ]; do
    tell "$1" "$2"
    shift 2
done
printf 'end\n'
