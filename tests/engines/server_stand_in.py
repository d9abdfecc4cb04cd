"""A program that speaks as much of vLLM as its supervisor needs, and dies or hangs when told to.

``server_stand_in.py PORT FOLDER [late|dies_at_start]``: it starts a process of its own, notes both process
numbers and its environment in FOLDER, and answers until ``/die``, ``/hang`` or ``/engine_dies`` is asked for.
With a file ``broken`` in FOLDER it ends at once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TOKENS = {"counted": 0}
STATE = {"hangs": False, "dead": False}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/die":
            sys.stdout.write("ValueError: the words of a user\n")
            sys.stdout.flush()
            os._exit(7)
        if self.path == "/hang":
            STATE["hangs"] = True
        if self.path == "/engine_dies":
            STATE["dead"] = True
        if self.path == "/metrics":
            body = f'vllm:prompt_tokens_total{{engine="0"}} {TOKENS["counted"]}.0\n'
            self.answer(200, body.encode())
        else:
            self.answer(503 if STATE["dead"] else 200)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Authorization"] != f"Bearer {os.environ['VLLM_API_KEY']}":
            self.answer(401)
            return
        while STATE["hangs"]:
            time.sleep(0.05)
        self.answer(200, b"{}")

    def answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    port, folder, how = int(sys.argv[1]), Path(sys.argv[2]), "".join(sys.argv[3:])
    if how == "dies_at_start" or (folder / "broken").exists():
        sys.stdout.write(f"the key is {os.environ['VLLM_API_KEY']}\n")
        raise RuntimeError("no such operator")
    if how == "late":
        time.sleep(1.5)
    helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    about = {"pids": [os.getpid(), helper.pid], "environment": dict(os.environ), "words": sys.argv}
    (folder / "about.tmp").write_text(json.dumps(about))
    (folder / "about.tmp").rename(folder / "about.json")
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever).start()


if __name__ == "__main__":
    main()
