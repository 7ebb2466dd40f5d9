"""Runs a program on a terminal of its own: `terminal.py COLUMNS ROWS PROGRAM ARGUMENT...`

Reads frames from stdin, each a letter, a length (32 bits, big endian) and so many bytes: `d` is typed; `w` holds columns
and rows (16 bits each). What the program shows goes to stdout; its exit status, or 128 and its signal, becomes ours.
"""

import fcntl
import os
import pty
import select
import struct
import sys
import termios


def resize(fd: int, columns: int, rows: int) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))


def main() -> int:
    pid, master = pty.fork()
    if pid == 0:
        resize(0, int(sys.argv[1]), int(sys.argv[2]))
        os.execvp(sys.argv[3], sys.argv[3:])
    os.set_blocking(master, False)
    frames, typed, is_open = b'', b'', True
    while True:
        ready, writable, _ = select.select([master] + ([0] if is_open else []), [master] if typed else [], [])
        if 0 in ready:
            chunk = os.read(0, 65536)
            is_open = chunk != b''
            frames += chunk
            while len(frames) >= 5 and len(frames) >= 5 + struct.unpack('>I', frames[1:5])[0]:
                end = 5 + struct.unpack('>I', frames[1:5])[0]
                if frames[:1] == b'd':
                    typed += frames[5:end]
                else:
                    resize(master, *struct.unpack('>HH', frames[5:end]))
                frames = frames[end:]
        if writable:
            typed = typed[os.write(master, typed):]
        if master in ready:
            try:
                shown = os.read(master, 65536)
            except OSError:
                shown = b''
            if shown == b'':
                break
            while shown:
                shown = shown[os.write(1, shown):]
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return status if status >= 0 else 128 - status


sys.exit(main())
