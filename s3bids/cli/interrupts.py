"""Ctrl-C and SIGTERM: an orderly end where that works, an end within seconds in any case."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time

#: How long the program may take to end by itself; the engine needs up to three seconds to stop its threads.
PATIENCE_S = 3.5

#: The code of the program when it was interrupted.
EXIT_CODE = 130
INTERRUPTED = "interrupted; run the same command again to go on"


def watch_interrupts() -> None:
    """Let SIGTERM end the program as Ctrl-C does, and see to it that both do.

    Python acts on a signal only between two of its own instructions, and a request to a server that does not answer
    is one long instruction. So the operating system wakes a thread as well, which ends the process if need be. At any
    moment that leaves no incomplete file under a final name.
    """
    signal.signal(signal.SIGTERM, _terminate)
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.detach(), warn_on_full_buffer=False)
    threading.Thread(target=_wait, args=(reader,), name="s3bids-interrupts", daemon=True).start()


def _terminate(number: int, frame: object) -> None:
    del number, frame
    raise KeyboardInterrupt


def _wait(reader: socket.socket) -> None:
    while reader.recv(1)[0] not in (signal.SIGINT, signal.SIGTERM):
        pass
    time.sleep(PATIENCE_S)
    os.write(2, f"s3bids: {INTERRUPTED}\n".encode())
    os._exit(EXIT_CODE)


__all__ = ["INTERRUPTED", "PATIENCE_S", "watch_interrupts"]
