"""Receives deliveries: WEBHOOK_SECRET=whsec_... PORT=8080 python receiver.py"""
import json
import os

from flask import Flask, request
from standardwebhooks import Webhook, WebhookVerificationError
from werkzeug.serving import make_server

from verify import verify_sha256_body, verify_standard

secret = os.environ["WEBHOOK_SECRET"]
webhook = Webhook(secret if secret.startswith("whsec_") else secret.encode())
seen = set()  # in earnest: a unique key in your database

app = Flask(__name__)


@app.post("/", defaults={"path": ""})
@app.post("/<path:path>")
def receive(path):
    headers, body = request.headers, request.get_data()  # the raw body is what was signed
    event_id = headers.get("webhook-id")
    verified = {
        "package": verified_by_package(headers, body),
        "standard": verify_standard(secret, headers, body),
        "sha256": verify_sha256_body(secret, headers, body),
    }
    genuine = verified["package"]  # one of the three is enough
    duplicate = event_id in seen
    if genuine:
        seen.add(event_id)
    line = {"id": event_id, "verified": verified, "duplicate": duplicate, "body": body.decode()}
    print(json.dumps(line), flush=True)
    return "", 204 if genuine else 400  # answer at once, work afterwards


def verified_by_package(headers, body):
    try:
        webhook.verify(body, dict(headers))
        return True
    except WebhookVerificationError:
        return False


server = make_server("127.0.0.1", int(os.environ.get("PORT", 0)), app, threaded=True)
print(json.dumps({"port": server.port}), flush=True)
server.serve_forever()
