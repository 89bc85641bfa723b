//! What a subscription, an event, a delivery, an attempt and a secret are, and
//! every decision about them. Pure: no I/O, no async, no clock, no serde; time
//! and randomness come in as parameters.

mod api_key;
mod attempt;
mod base32;
mod breaker;
mod caller;
mod certificate;
mod custom_headers;
#[cfg(test)]
pub(crate) mod damaged;
mod delivery;
mod erasure;
mod event;
mod event_type;
mod explanation;
mod expression;
mod failing;
mod filter;
mod guard;
mod id;
mod invalid;
mod key_text;
mod keyring;
mod live;
mod outcome;
mod pace;
mod quota;
mod rate_limit;
mod replay;
mod retry;
mod root_key;
mod scope;
mod secret;
mod signature;
mod signing_key;
mod source;
mod stats;
mod subscription;
mod tenant;
mod text;
mod time;
mod trace;
mod url;

pub use api_key::{ApiKey, ApiKeySpec, Holder};
pub use attempt::{Attempt, Headers, Phases};
pub use breaker::BreakerChange;
pub use caller::{Caller, Identity, NotAdmitted, NotAllowed, NotAuthenticated};
pub use certificate::{Certificate, Grant};
pub use custom_headers::CustomHeaders;
pub use delivery::{Delivery, DeliveryState, LastOutcome, Next, NotChangeable, Trigger};
pub use erasure::{Erasure, Reach};
pub use event::{ContentType, Event, NewEvent, Payload};
pub use event_type::{EventPattern, EventPatterns, EventType};
pub use explanation::{Explanation, Verdict};
pub use expression::FilterExpression;
pub use failing::DisableAfter;
pub use filter::{DeliveryFilter, TimeRange};
pub use guard::{Exception, Guard, Name, Refused, Target};
pub use id::{ApiKeyId, AttemptId, DeliveryId, EventId, ReplayId, SubscriptionId};
pub use invalid::{Invalid, Violation, Violations};
pub use key_text::{KeyHash, KeyHasher, KeyText};
pub use keyring::{Keyring, NotOpened, SealId};
pub use live::{Live, LiveKeys, LiveSecrets};
pub use outcome::{Answer, ErrorKind, Outcome, RetryAfter};
pub use pace::Pace;
pub use quota::{Quota, Quotas};
pub use rate_limit::RateLimit;
pub use replay::{Outcomes, Replay, ReplayMode, ReplaySpec, ReplayState, ReplayStep};
pub use retry::{Jitter, RetryPolicy, Schedule};
pub use root_key::{RootKey, RootKeys};
pub use scope::{Scope, Scopes};
pub use secret::Secret;
pub use signature::{SignatureScheme, Signer};
pub use signing_key::SigningKey;
pub use source::{Clock, Random};
pub use stats::{Counts, StatsGroup, StatsKey, StatsQuery, floor};
pub use subscription::{
    PayloadFormat, State, StateCode, StateReason, Subscription, SubscriptionSpec, Timeout, Version,
};
pub use tenant::TenantId;
pub use text::{Attributes, Labels};
pub use time::Timestamp;
pub use trace::{TRACEPARENT, is_traceparent};
pub use url::EndpointUrl;
