//! API keys: for whom their holders act, and what they may do.

use super::{ApiKeyId, Invalid, KeyHash, Scope, Scopes, TenantId, Timestamp, text};

/// For whom the holder of a key acts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Holder {
    /// For this tenant.
    Tenant(TenantId),
    /// For any tenant, each call for the one it names.
    Operator,
}

/// What is asked for when a key is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeySpec {
    /// For whom its holder acts.
    pub holder: Holder,
    /// What it is good for.
    pub scopes: Scopes,
    /// For whoever looks at it later.
    pub description: String,
    /// When it ends, if ever.
    pub expire_time: Option<Timestamp>,
}

/// An API key as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// What was asked for.
    pub spec: ApiKeySpec,
    /// By what its text is known again.
    pub hash: KeyHash,
    /// When it was made.
    pub create_time: Timestamp,
    /// When it was revoked.
    pub revoke_time: Option<Timestamp>,
}

impl ApiKeySpec {
    /// Checks a description.
    pub fn check_description(description: String) -> Result<String, Invalid> {
        text::at_most(&description, 1_024).map(|()| description)
    }

    /// Checks the scopes of a key: one for all tenants is an administrator's.
    pub fn check_scopes(scopes: Scopes, holder: &Holder) -> Result<Scopes, Invalid> {
        if scopes.is_empty() {
            return Err(Invalid::new("must be at least one"));
        }
        if *holder == Holder::Operator && !scopes.contains(Scope::Admin) {
            return Err(Invalid::new(
                "must have API_KEY_SCOPE_ADMIN where the key is for all tenants",
            ));
        }
        Ok(scopes)
    }

    /// Checks when a key is to end.
    pub fn check_expire_time(time: Timestamp, now: Timestamp) -> Result<Timestamp, Invalid> {
        if time > now {
            Ok(time)
        } else {
            Err(Invalid::new("must be in the future"))
        }
    }
}

impl ApiKey {
    /// The key, revoked; the first time counts.
    #[must_use]
    pub fn revoked(&self, now: Timestamp) -> Self {
        Self {
            revoke_time: self.revoke_time.or(Some(now)),
            ..self.clone()
        }
    }

    /// Whether it has ended by itself.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.spec.expire_time.is_some_and(|end| end <= now)
    }

    /// Whether its holder gets in.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.revoke_time.is_none() && !self.has_expired(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(expire_time: Option<Timestamp>) -> ApiKey {
        ApiKey {
            id: ApiKeyId::new(Timestamp::from_secs(1), 0),
            spec: ApiKeySpec {
                holder: Holder::Operator,
                scopes: Scopes::ALL,
                description: String::new(),
                expire_time,
            },
            hash: KeyHash::from_bytes([0; 32]),
            create_time: Timestamp::from_secs(1),
            revoke_time: None,
        }
    }

    #[test]
    fn a_key_is_good_until_it_ends_or_is_revoked() {
        let at = Timestamp::from_secs;
        assert!(key(None).is_good(Timestamp::MAX));
        assert!(key(Some(at(5))).is_good(at(4)));
        assert!(!key(Some(at(5))).is_good(at(5)));
        let revoked = key(None).revoked(at(3));
        assert!(!revoked.is_good(at(3)));
        assert_eq!(revoked.revoked(at(4)), revoked);
    }

    #[test]
    fn a_key_for_all_tenants_is_an_administrators() {
        let check = |scopes: &[Scope], holder| {
            ApiKeySpec::check_scopes(scopes.iter().copied().collect(), holder).is_ok()
        };
        let tenant = Holder::Tenant(TenantId::default());
        assert!(check(&[Scope::Publish], &tenant));
        assert!(!check(&[], &tenant));
        assert!(!check(&[Scope::Publish, Scope::Read], &Holder::Operator));
        assert!(check(&[Scope::Publish, Scope::Admin], &Holder::Operator));
    }
}
