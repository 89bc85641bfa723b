//! Tenants: every subscription, event and delivery belongs to one.

use std::{fmt, str::FromStr, sync::Arc};

use super::Invalid;

/// Name of a tenant: 1 to 64 bytes of `[a-z0-9_-]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(Arc<str>);

impl TenantId {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The tenant `default`, for whom a call acts that may act for any and names none.
impl Default for TenantId {
    fn default() -> Self {
        Self(Arc::from("default"))
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TenantId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b);
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(Arc::from(text)))
        } else {
            Err(Invalid::new("must be 1 to 64 bytes of [a-z0-9_-]"))
        }
    }
}
