# The end of every guest's first process: it obeys the test. Shell lines come in on the second serial port,
# and each is answered by its output, marked by "@= " as a program may be writing there too, and a line
# "@@ done STATUS". The kernel alone writes to the first port, so that it cannot break into a line.
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
