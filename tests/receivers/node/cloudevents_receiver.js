// Tells what the package `cloudevents` reads of each delivery: WEBHOOK_SECRET=whsec_... or whpk_... node cloudevents_receiver.js
const express = require("express");
const { HTTP } = require("cloudevents");
const { verifyEd25519 } = require("./ed25519");
const { verifyStandard } = require("./verify");

const secret = process.env.WEBHOOK_SECRET;
const verifier = secret.startsWith("whpk_") ? verifyEd25519 : verifyStandard;

const app = express();
app.use(express.raw({ type: () => true, limit: "1mb" }));

app.post(/.*/, ({ headers, body }, response) => {
  const verified = verifier(secret, headers, body);
  const event = HTTP.toEvent({ headers: decoded(headers), body: readable(headers, body) });
  event.validate();
  const { data, data_base64, ...attributes } = event.toJSON();
  attributes.time = new Date(event.time).toISOString();
  const content = data_base64 === undefined ? { data } : { base64: data_base64 };
  console.log(JSON.stringify({ verified, attributes, ...content }));
  response.sendStatus(204);
});

// The package leaves the percent-encoding of binary mode to its caller.
function decoded(headers) {
  const decode = ([name, value]) => [name, name.startsWith("ce-") ? decodeURIComponent(value) : value];
  return Object.fromEntries(Object.entries(headers).map(decode));
}

// The package wants text where the content is text.
function readable(headers, body) {
  return /json|text/.test(headers["content-type"]) ? body.toString() : body;
}

const server = app.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () => {
  console.log(JSON.stringify({ port: server.address().port }));
});
