"""Receives deliveries with nothing but Python: WEBHOOK_SECRET=whsec_... PORT=8080 python3 plain.py"""
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from verify import verify_standard

secret = os.environ["WEBHOOK_SECRET"]


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        genuine = verify_standard(secret, self.headers, body)
        verdict = "genuine" if genuine else "FORGED"
        print(f"receiver: {verdict} {self.headers['webhook-id']} {body.decode()}", flush=True)
        self.send_response(204 if genuine else 400)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Receiver).serve_forever()
