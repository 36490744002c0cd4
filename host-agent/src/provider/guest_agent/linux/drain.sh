# Lets new logons be refused for a while by /run/nologin, unless that is somebody else's; a timer ends it.
# $1 latest uptime in 1/100 s  $2 seconds  $3 until when, for people  $4 text
# Exits with 0 when ours is there, 40 when somebody else's is and was left, 41 where nothing heeds it.
latest=$1 seconds=$2 until=$3 text=$4
command -v systemd-run >/dev/null || { printf 'systemd-run is not there\n' >&2; exit 31; }
grep -rqs pam_nologin /etc/pam.d /usr/lib/pam.d /usr/etc/pam.d || exit 41
in_time "$latest"
[ ! -e $nologin ] && [ ! -L $nologin ] || is_ours || exit 40
# The timer first: whatever happens in between, what refuses logons has something that ends it.
systemctl stop curfew-undrain.timer curfew-undrain.service 2>/dev/null
systemctl reset-failed curfew-undrain.timer curfew-undrain.service 2>/dev/null
systemd-run --quiet --collect --unit=curfew-undrain --description='Curfew: take new logons again' \
    --on-active="${seconds}s" --timer-property=AccuracySec=1s /bin/sh -c "$lift" curfew >&2 || exit 32
new=$(mktemp /run/.curfew-nologin.XXXXXXXX) || exit 33
{
    printf 'New logons are refused until %s.\n' "$until"
    [ -z "$text" ] || printf '%s\n' "$text"
    printf '%s\n' "$mark"
} >"$new" && chmod 644 "$new" || { rm -f "$new"; exit 33; }
# A link is never made over what somebody else wrote meanwhile.
if ln "$new" $nologin 2>/dev/null; then
    rm -f "$new"
elif is_ours; then
    mv -f "$new" $nologin || { rm -f "$new"; exit 33; }
else
    rm -f "$new"
    exit 40
fi
