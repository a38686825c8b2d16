#!/bin/busybox sh
# A guest's first process: it loads the modules and obeys the test. Shell lines come in on the second
# serial port, each is answered by its output, marked by "@= ", and a line "@@ done STATUS". The kernel
# alone writes to the first port. /etc/guest has MODULES, in order of loading.
/bin/busybox --install -s /bin
export PATH=/bin:/sbin HOME=/

mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs run /run
stty -F /dev/ttyS1 raw -echo
exec </dev/ttyS1 >/dev/ttyS1 2>&1

. /etc/guest
for module in $MODULES; do
    insmod "/modules/$module.ko" || echo "@@ fault insmod $module"
done
ip link set lo up
echo "@@ booted"
(   # A child of ours, because orphans become ours: busybox's read loses half a line when a child ends.
    while read -r line; do
        answer=$(eval "$line" 2>&1 </dev/null)
        status=$?
        [ -z "$answer" ] || echo "$answer" | sed 's/^/@= /'
        echo "@@ done $status"
    done
)
poweroff -f
