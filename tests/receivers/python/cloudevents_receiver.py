"""Tells what the package `cloudevents` reads of each delivery: WEBHOOK_SECRET=whsec_... or whpk_... python cloudevents_receiver.py"""
import base64
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cloudevents.core.bindings.http import HTTPMessage, from_http_event

from ed25519 import verify_ed25519
from verify import verify_standard

secret = os.environ["WEBHOOK_SECRET"]
verifier = verify_ed25519 if secret.startswith("whpk_") else verify_standard


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        event = from_http_event(HTTPMessage(headers=headers, body=body))
        data = event.get_data()
        attributes = {name: str(value) for name, value in event.get_attributes().items()}
        attributes["time"] = event.get_time().isoformat()
        line = {
            "verified": verifier(secret, self.headers, body),
            "attributes": attributes,
            "base64" if isinstance(data, bytes) else "data": plain(data),
        }
        print(json.dumps(line), flush=True)
        self.send_response(204)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def plain(data):
    return base64.b64encode(data).decode() if isinstance(data, bytes) else data


server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", 0))), Receiver)
print(json.dumps({"port": server.server_port}), flush=True)
server.serve_forever()
