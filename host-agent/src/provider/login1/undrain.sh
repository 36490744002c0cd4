# Lets new logons in again: takes /run/nologin away if its last line says that it is Curfew's.
PATH=/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin
[ -f /run/nologin ] && [ ! -L /run/nologin ] || exit 0
[ "$(tail -n 1 /run/nologin)" = '-- curfew' ] || exit 0
rm -f /run/nologin
