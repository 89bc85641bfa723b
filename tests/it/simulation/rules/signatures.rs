//! Every request verifies with the secrets that sign at its time, all of them,
//! newest first, and with no other.

use std::fmt::Write;

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use postrider::domain::{Secret, SignatureScheme, Timestamp};
use sha2::Sha256;

use super::view::{Seen, View};
use crate::simulation::history::Change;

pub fn judge(view: &View<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for seen in &view.seen {
        let started = seen.started.truth;
        let versions = view.versions(seen.subscription, started, started);
        let Some(secrets) = secrets(view, seen) else {
            continue;
        };
        let mut schemes = versions
            .iter()
            .flatten()
            .map(|version| &version.spec.signature_schemes);
        if !schemes.any(|schemes| verifies(seen, schemes, &secrets)) {
            found.push(format!(
                "{} does not verify: {:?}",
                seen.name(),
                seen.request.headers
            ));
        }
    }
    found
}

/// Whether a secret signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signs {
    Yes,
    No,
    Perhaps,
}

/// The secrets that there were, newest first, and whether they sign; `None` if a
/// rotation was under way, of which nobody knows what came.
fn secrets(view: &View<'_>, seen: &Seen<'_>) -> Option<Vec<(Secret, Signs)>> {
    let first = view.writes[&seen.subscription].first()?;
    let mut secrets = vec![(
        first.what.now.as_ref()?.secrets.newest().clone(),
        Timestamp::MAX,
        Timestamp::MAX,
    )];
    for call in &view.history.changes {
        let Change::Rotate(id, secret, overlap) = &call.what else {
            continue;
        };
        let (begin, started) = (call.begin, seen.started.truth);
        if *id != seen.subscription || begin.truth > started || !call.may_have_worked() {
            continue;
        }
        if !call.is_done_before(started) {
            return None;
        }
        let end = call.end?;
        if view.jumps(begin.truth, end.truth) {
            return None;
        }
        // What is over by then is gone, whatever the clock does later.
        secrets.retain(|(_, _, most)| !overlap.is_zero() && *most > begin.wall);
        for (_, least, most) in &mut secrets {
            if *least <= end.wall {
                *least = Timestamp::MIN;
            }
            *least = (*least).min(begin.wall.after(*overlap));
            *most = (*most).min(end.wall.after(*overlap));
        }
        secrets.insert(0, (secret.clone(), Timestamp::MAX, Timestamp::MAX));
    }
    let now = seen.request.begin.wall;
    let signs = |least, most| match (now < least, now < most) {
        (true, _) => Signs::Yes,
        (false, true) => Signs::Perhaps,
        (false, false) => Signs::No,
    };
    let secrets = secrets.into_iter();
    Some(
        secrets
            .map(|(secret, least, most)| (secret, signs(least, most)))
            .collect(),
    )
}

fn verifies(seen: &Seen<'_>, schemes: &[SignatureScheme], secrets: &[(Secret, Signs)]) -> bool {
    let headers = &seen.request.headers;
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
    let (id, body) = (seen.request.event.to_string(), &seen.request.body);
    let time = seen.request.begin.wall.as_secs().to_string();
    let standard = schemes.contains(&SignatureScheme::StandardWebhooks);
    let plain = schemes.contains(&SignatureScheme::Sha256Body);
    let heads = |prefix: &str, wanted: bool| {
        let id = wanted.then_some(&*id);
        let time = wanted.then_some(&*time);
        header(&format!("{prefix}webhook-id")) == id
            && header(&format!("{prefix}webhook-timestamp")) == time
    };
    let tokens = header("webhook-signature").unwrap_or_default();
    let mut tokens = tokens.split_terminator(' ').peekable();
    if standard {
        for (secret, signs) in secrets {
            let signed = [id.as_bytes(), b".", time.as_bytes(), b".", body].concat();
            let right = STANDARD.encode(mac(&secret.standard_key(), &signed));
            let is_there = tokens
                .next_if(|token| *token == format!("v1,{right}"))
                .is_some();
            if is_there && *signs == Signs::No || !is_there && *signs == Signs::Yes {
                return false;
            }
        }
    }
    let newest = mac(secrets[0].0.expose().as_bytes(), body);
    let mut right = "sha256=".to_owned();
    for byte in newest {
        write!(right, "{byte:02x}").unwrap();
    }
    tokens.next().is_none()
        && heads("", true)
        && heads("x-", plain)
        && header("x-webhook-signature") == plain.then_some(&*right)
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}
