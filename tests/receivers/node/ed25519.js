// Verifies a delivery by the public key of its subscription, `whpk_...`. `body` is the raw body, a Buffer.
const { createPublicKey, verify } = require("node:crypto");

const TOLERANCE_SECONDS = 5 * 60;

// webhook-signature: one `v1a,` for each live key, over id, timestamp and body.
function verifyEd25519(publicKey, headers, body) {
  const { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures } = headers;
  if (!id || !timestamp || !signatures) return false;
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= TOLERANCE_SECONDS)) return false;
  const x = Buffer.from(publicKey.slice("whpk_".length), "base64").toString("base64url");
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  const signed = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), body]);
  return signatures.split(" ").some((signature) => {
    const [version, encoded] = signature.split(",");
    return version === "v1a" && verify(null, signed, key, Buffer.from(encoded, "base64"));
  });
}

module.exports = { verifyEd25519 };
