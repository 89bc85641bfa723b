"""Verifies a delivery with nothing but Python. `body` is the raw body, bytes."""
import base64
import hashlib
import hmac
import time

TOLERANCE_SECONDS = 5 * 60


def verify_standard(secret, headers, body):
    """webhook-signature: HMAC over id, timestamp and body, one for each live secret."""
    msg_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not timestamp.isdecimal() or abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    if secret.startswith("whsec_"):
        key = base64.b64decode(secret[len("whsec_"):])
    else:
        key = secret.encode()
    signed = f"{msg_id}.{timestamp}.".encode() + body
    mac = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    signatures = headers.get("webhook-signature", "").split(" ")
    return any(equal(signature, f"v1,{mac}") for signature in signatures)


def verify_sha256_body(secret, headers, body):
    """X-Webhook-Signature: HMAC over the body alone, keyed with the secret as written."""
    mac = hmac.digest(secret.encode(), body, hashlib.sha256).hex()
    return equal(headers.get("x-webhook-signature", ""), f"sha256={mac}")


def equal(left, right):
    """Takes the same time wherever the two differ."""
    return hmac.compare_digest(left.encode(), right.encode())
