#!/bin/busybox sh
# The guest's first process. It readies the machine as a host's administrator would, then obeys the test
# (tests/qemu/obey.sh).
#
# /etc/guest holds what the host side chose: MODULES (in order of loading), NICS, HUGEPAGES.
/bin/busybox --install -s /bin
export PATH=/bin HOME=/

mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /run
mkdir -p /dev/shm /dev/hugepages
chmod 755 / # the kernel leaves it writable to all, and DPDK loads no driver from below such a folder
mount -t tmpfs shm /dev/shm
stty -F /dev/ttyS1 raw -echo
exec </dev/ttyS1 >/dev/ttyS1 2>&1

. /etc/guest

for module in $MODULES; do
    insmod "/modules/$module.ko" || echo "@@ fault insmod $module"
done

echo "$HUGEPAGES" >/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
mount -t hugetlbfs -o pagesize=2M huge /dev/hugepages
echo "@@ hugepages $(cat /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages)"

for nic in $NICS; do
    device=/sys/bus/pci/devices/$nic
    echo vfio-pci >$device/driver_override
    echo "$nic" >/sys/bus/pci/drivers_probe
    group=$(readlink $device/iommu_group)
    driver=$(readlink $device/driver)
    group=${group##*/}
    echo "@@ nic $nic id=$(cat $device/device) driver=${driver##*/} group=$group" \
        "members=$(ls /sys/kernel/iommu_groups/$group/devices | wc -l)" \
        "domain=$(cat /sys/kernel/iommu_groups/$group/type)"
done

# start PROGRAM ARGUMENT...: runs it beside us, its output on our port. Its standard input is a pipe
# that stays open, /run/stdin; its process is in /run/pid; its end is told as "@@ exited STATUS".
start() {
    rm -f /run/stdin
    mkfifo /run/stdin
    {
        sh -c 'echo $$ >/run/pid; exec "$@"' start "$@" <>/run/stdin
        echo "@@ exited $?"
    } >/dev/ttyS1 2>&1 &
}

. /etc/obey
