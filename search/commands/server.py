"""`radsearch server`."""

from __future__ import annotations

import argparse
import os
import signal
import threading

from search.saying import say
from search.tracking_server import Request, read_config, service_text, serving


def run(args: argparse.Namespace) -> int:
    """Serve MLflow until Ctrl-C or SIGTERM, or print the file with which others start it."""
    request = Request(
        args.host,
        args.allowed_hosts,
        args.port,
        args.backend,
        args.artifacts,
        args.home,
        args.mlflow_version,
    )
    if args.print:
        say(service_text(args.print, request, os.environ).rstrip("\n"))
        return 0
    stop = threading.Event()
    with serving(read_config(request, os.environ), os.environ, say) as watch:
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        # A wait without a timeout would hold back Ctrl-C on some systems.
        while not stop.wait(0.5):
            watch.check()
    return 0
