// Verifies a delivery with nothing but Node. `body` is the raw body, a Buffer.
const { createHmac, timingSafeEqual } = require("node:crypto");

const TOLERANCE_SECONDS = 5 * 60;

// webhook-signature: HMAC over id, timestamp and body, one for each live secret.
function verifyStandard(secret, headers, body) {
  const { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures } = headers;
  if (!id || !timestamp || !signatures) return false;
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= TOLERANCE_SECONDS)) return false;
  const key = secret.startsWith("whsec_") ? Buffer.from(secret.slice(6), "base64") : secret;
  const mac = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body);
  const expected = "v1," + mac.digest("base64");
  return signatures.split(" ").some((signature) => equal(signature, expected));
}

// X-Webhook-Signature: HMAC over the body alone, keyed with the secret as written.
function verifySha256Body(secret, headers, body) {
  const mac = createHmac("sha256", secret).update(body);
  return equal(headers["x-webhook-signature"] ?? "", "sha256=" + mac.digest("hex"));
}

// Takes the same time wherever the two differ.
function equal(left, right) {
  const [a, b] = [Buffer.from(left), Buffer.from(right)];
  return a.length === b.length && timingSafeEqual(a, b);
}

module.exports = { verifyStandard, verifySha256Body };
