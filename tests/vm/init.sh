#!/bin/busybox sh
# A guest's first process: it loads the modules and obeys the test (tests/qemu/obey.sh). /etc/guest has
# MODULES, in order of loading.
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
. /etc/obey
