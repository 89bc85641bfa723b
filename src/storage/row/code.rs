//! The numbers that stand for the domain's choices. Never used again for
//! anything else.

use crate::{
    domain::{
        DeliveryState, ErrorKind, PayloadFormat, ReplayMode, ReplayState, SignatureScheme, State,
        StateCode, Trigger,
    },
    storage::bytes::{Malformed, Read},
};

/// Both ways between a choice and its number.
macro_rules! code {
    ($to:ident, $from:ident, $type:ident, $($choice:ident = $number:literal),+ $(,)?) => {
        pub(in crate::storage) fn $to(choice: $type) -> u8 {
            match choice {
                $($type::$choice => $number,)+
            }
        }

        pub(in crate::storage) fn $from(number: u8) -> Read<$type> {
            match number {
                $($number => Ok($type::$choice),)+
                _ => Err(Malformed),
            }
        }
    };
}

code!(
    from_state,
    to_state,
    DeliveryState,
    Pending = 1,
    Delivering = 2,
    Retrying = 3,
    Succeeded = 4,
    Failed = 5,
    Cancelled = 6,
);

code!(
    from_trigger,
    to_trigger,
    Trigger,
    Event = 1,
    Manual = 2,
    Replay = 3,
    Test = 4,
);

code!(
    from_replay_mode,
    to_replay_mode,
    ReplayMode,
    Failed = 1,
    Missing = 2,
    All = 3,
);

code!(
    from_replay_state,
    to_replay_state,
    ReplayState,
    Running = 1,
    Completed = 2,
    Cancelled = 3,
);

code!(
    from_error,
    to_error,
    ErrorKind,
    Status = 1,
    Redirect = 2,
    Gone = 3,
    Dns = 4,
    Connect = 5,
    Tls = 6,
    Timeout = 7,
    Reset = 8,
    ResponseTooLarge = 9,
    Protocol = 10,
    Request = 11,
    Refused = 12,
);

code!(
    from_subscription_state,
    to_subscription_state,
    State,
    Active = 1,
    Disabled = 2
);

code!(
    from_state_code,
    to_state_code,
    StateCode,
    Created = 1,
    Requested = 2,
    Gone = 3,
    Failing = 4,
);

code!(
    from_payload_format,
    to_payload_format,
    PayloadFormat,
    Envelope = 1,
    Raw = 2,
    CloudEventsBinary = 3,
    CloudEventsStructured = 4,
);

code!(
    from_scheme,
    to_scheme,
    SignatureScheme,
    StandardWebhooks = 1,
    Sha256Body = 2,
    Ed25519 = 3,
);

/// Zero for none.
pub(in crate::storage) fn from_maybe_error(kind: Option<ErrorKind>) -> u8 {
    kind.map_or(0, from_error)
}

pub(in crate::storage) fn to_maybe_error(number: u8) -> Read<Option<ErrorKind>> {
    match number {
        0 => Ok(None),
        number => to_error(number).map(Some),
    }
}
