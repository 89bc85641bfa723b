// Receives deliveries: WEBHOOK_SECRET=whsec_... PORT=8080 node receiver.js
const express = require("express");
const { Webhook } = require("standardwebhooks");
const { verifyStandard, verifySha256Body } = require("./verify");

const secret = process.env.WEBHOOK_SECRET;
const webhook = new Webhook(secret, secret.startsWith("whsec_") ? {} : { format: "raw" });
const seen = new Set(); // in earnest: a unique key in your database

const app = express();
app.use(express.raw({ type: () => true, limit: "1mb" })); // the raw body is what was signed

app.post(/.*/, ({ headers, body }, response) => {
  const id = headers["webhook-id"];
  const verified = {
    package: verifiedByPackage(headers, body),
    standard: verifyStandard(secret, headers, body),
    sha256: verifySha256Body(secret, headers, body),
  };
  const genuine = verified.package; // one of the three is enough
  const duplicate = seen.has(id);
  if (genuine) seen.add(id);
  console.log(JSON.stringify({ id, verified, duplicate, body: body.toString() }));
  response.sendStatus(genuine ? 204 : 400); // answer at once, work afterwards
});

function verifiedByPackage(headers, body) {
  try {
    webhook.verify(body, headers);
    return true;
  } catch {
    return false;
  }
}

const server = app.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () => {
  console.log(JSON.stringify({ port: server.address().port }));
});
