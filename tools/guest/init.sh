#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The guest's init (tools/guest/guest.py boots it): sees the host's files under a tmpfs, so that nothing it does reaches the
# host except what it writes into the shared folder, and runs shared/command there as root.
#
# Always holds: shared/exit-code exists only after the command has ended, and holds its exit status; the guest powers off.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
HOME=/root
export PATH HOME

argument() {
    sed -n "s/.*halma_$1=\([^ ]*\).*/\1/p" /proc/cmdline
}

power_off() {
    sync
    "$busybox" poweroff -f
}

mount -t proc proc /proc
shared=$(argument shared)
modules=$(argument modules)
busybox=$(argument busybox)

"$busybox" insmod "$modules/kernel/fs/overlayfs/overlay.ko" 2>/dev/null # an error here shows at the mount
mount -t tmpfs tmpfs /mnt
mkdir -p /mnt/upper /mnt/work /mnt/root
root=/mnt/root
if ! mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work $root; then
    echo "guest: no overlay file system"
    power_off
fi

mount -t proc proc $root/proc
mount -t sysfs sys $root/sys
mount -t bpf bpf $root/sys/fs/bpf 2>/dev/null
mount -t devtmpfs dev $root/dev
mkdir -p $root/dev/pts $root/dev/shm $root/dev/net
mount -t devpts pts $root/dev/pts
mount -t tmpfs shm $root/dev/shm
mount -t tmpfs run $root/run
mkdir -p $root/run/netns
[ -e $root/dev/net/tun ] || mknod $root/dev/net/tun c 10 200
ln -sf /proc/self/fd $root/dev/fd
mkdir -p "$root$shared"
mount -t hostfs none "$root$shared" -o "$shared"

# The kernel loads what it misses itself (veth, cls_bpf, nf_tables, ...) through this program, which it starts outside `root`.
mkdir -p $root/lib/modules
ln -sfn "$modules" "$root/lib/modules/$(uname -r)"
printf '#!/bin/sh\nexec chroot %s %s modprobe "$@"\n' $root "$busybox" >$root/run/load-module
chmod +x $root/run/load-module
echo $root/run/load-module >/proc/sys/kernel/modprobe
# What nothing makes the kernel load by itself. With mip6 the kernel has its own mind about Mobile IPv6 (CONFIG_IPV6_MIP6).
for module in tun ipv6 mip6; do
    chroot $root "$busybox" modprobe $module
done

ip link set lo up
# Through a pipe, since the console looks like a terminal and the command's output is for a file.
{
    chroot $root /bin/sh "$shared/command"
    echo $? >"$root$shared/exit-code"
} 2>&1 | cat
power_off
