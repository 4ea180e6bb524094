#!/usr/bin/env python3
"""A slow or lossy cable, for kernels without the netem queueing discipline.

netdelay.py --no-offload INTERFACE
    has the kernel finish checksums and segments itself, as frames need that pass through a program

netdelay.py --cable INTERFACE --bridge BRIDGE --tap NAME --delay MILLISECONDS
            [--jitter MILLISECONDS] [--loss PERCENT] --ready FIFO
    carries every frame between INTERFACE and a new interface NAME of BRIDGE so much later, in
    their order, and loses some; writes a line into FIFO when it does
"""

import argparse
import array
import collections
import fcntl
import os
import random
import select
import socket
import struct
import subprocess
import time

ETHERNET_ALL = 3
PACKET_OUTGOING = 4
LONGEST_FRAME = 65535
SIOCETHTOOL = 0x8946
# ETHTOOL_STXCSUM, ETHTOOL_SSG, ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO
OFFLOADS = (0x17, 0x19, 0x1F, 0x24, 0x2C)
TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000


def switch_offloads_off(interface):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for command in OFFLOADS:
            value = array.array("B", struct.pack("II", command, 0))
            address, _ = value.buffer_info()
            request = struct.pack("16sQ16x", interface.encode(), address)
            try:
                fcntl.ioctl(any_socket, SIOCETHTOOL, request)
            except OSError:
                pass  # an interface without that offload has nothing to switch off


class Direction:
    """Frames on their way in one direction."""

    def __init__(self, receive, send, options):
        self.receive, self.send, self.options = receive, send, options
        self.frames = collections.deque()

    def accept(self):
        frame = self.receive()
        if frame is None or random.random() * 100 < self.options.loss:
            return
        jitter = random.uniform(-self.options.jitter, self.options.jitter)
        due = time.monotonic() + (self.options.delay + jitter) / 1000
        if self.frames:
            due = max(due, self.frames[-1][0])
        self.frames.append((due, frame))

    def deliver(self):
        while self.frames and self.frames[0][0] <= time.monotonic():
            _, frame = self.frames.popleft()
            try:
                self.send(frame)
            except OSError:
                pass  # the cable is cut: the frame is lost


def open_tap(name, bridge):
    tap = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    set_link = ["ip", "link", "set", name]
    subprocess.run([*set_link, "txqueuelen", "10000", "master", bridge, "up"], check=True)
    return tap


def carry(options):
    cable = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERNET_ALL))
    cable.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    cable.bind((options.cable, 0))
    tap = open_tap(options.tap, options.bridge)

    def from_cable():
        try:
            frame, address = cable.recvfrom(LONGEST_FRAME)
        except OSError:
            return None  # the cable was cut
        return None if address[2] == PACKET_OUTGOING else frame

    directions = {
        cable.fileno(): Direction(from_cable, lambda frame: os.write(tap, frame), options),
        tap: Direction(lambda: os.read(tap, LONGEST_FRAME), cable.send, options),
    }
    poll = select.poll()
    for descriptor in directions:
        poll.register(descriptor, select.POLLIN)
    with open(options.ready, "w") as ready:
        print("ready", file=ready)
    while True:
        due = [each.frames[0][0] for each in directions.values() if each.frames]
        patience = max(0, (min(due) - time.monotonic()) * 1000) if due else None
        for descriptor, _ in poll.poll(patience):
            directions[descriptor].accept()
        for direction in directions.values():
            direction.deliver()


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--no-offload")
    for name in ("cable", "bridge", "tap", "ready"):
        parser.add_argument(f"--{name}")
    for name in ("delay", "jitter", "loss"):
        parser.add_argument(f"--{name}", type=float, default=0)
    options = parser.parse_args()
    if options.no_offload:
        switch_offloads_off(options.no_offload)
    else:
        carry(options)


if __name__ == "__main__":
    main()
