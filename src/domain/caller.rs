//! Who calls, and whether they may: decided once, before a call reaches its
//! handler.

use super::{ApiKeyId, Holder, Invalid, Scope, Scopes, TenantId};

/// Who somebody was found to be, by a key or in another way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// For whom they may act.
    pub holder: Holder,
    /// What they may do.
    pub scopes: Scopes,
    /// The key that they showed; none where they are known by something that
    /// lasts as long as the process.
    pub key: Option<ApiKeyId>,
}

/// Who makes a call that is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The one tenant that the call acts for.
    pub tenant: TenantId,
    /// Whether the caller could have acted for any other.
    pub is_operator: bool,
    /// The key that was shown.
    pub key: Option<ApiKeyId>,
}

/// Why somebody is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAuthenticated {
    /// There is no key.
    #[error("call needs an API key, in the metadata \"authorization: Bearer pr_...\"")]
    NoKey,
    /// There is no key, and the certificate is not one that stands for it.
    #[error(
        "call needs an API key, as auth.certificates has no name of the client's certificate \
         ({0})"
    )]
    NoGrant(String),
    /// It is no key, or has a mistake.
    #[error(
        "authorization must be \"Bearer\" and an API key; this is none, or was cut or mistyped"
    )]
    Malformed,
    /// There is no such key.
    #[error("API key is not known")]
    Unknown,
    /// It was revoked.
    #[error("API key was revoked")]
    Revoked,
    /// It has ended.
    #[error("API key has expired")]
    Expired,
}

/// Why somebody who is known may not do this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// They lack the scope.
    #[error("call needs the scope {0}, which the caller does not have")]
    Scope(Scope),
    /// They act for another tenant.
    #[error("caller acts for one tenant, and postrider-tenant names another one")]
    Tenant,
    /// Only who acts for all tenants may.
    #[error("only who acts for all tenants may do this for all of them")]
    Operator,
}

/// Why a call goes no further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// The caller may not do this.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// What is to be the tenant's name is none.
    #[error(transparent)]
    Tenant(#[from] Invalid),
}

impl Identity {
    /// Whoever is there may do everything: where nobody is asked for a key.
    pub fn anybody() -> Self {
        Self {
            holder: Holder::Operator,
            scopes: Scopes::ALL,
            key: None,
        }
    }

    /// Who calls, if they may make a call that needs this scope for the tenant
    /// that they name. Who acts for all tenants and names none acts for
    /// `default`.
    pub fn call(self, named: Option<&str>, scope: Scope) -> Result<Caller, NotAdmitted> {
        if !self.scopes.contains(scope) {
            return Err(NotAllowed::Scope(scope).into());
        }
        let named = named.map(str::parse::<TenantId>).transpose()?;
        let (tenant, is_operator) = match self.holder {
            Holder::Operator => (named.unwrap_or_default(), true),
            Holder::Tenant(own) if named.is_none_or(|named| named == own) => (own, false),
            Holder::Tenant(_) => return Err(NotAllowed::Tenant.into()),
        };
        Ok(Caller {
            tenant,
            is_operator,
            key: self.key,
        })
    }
}

impl Caller {
    /// Whose keys the caller sees: those of the tenant, or those for all.
    pub fn holder(&self, all_tenants: bool) -> Result<Holder, NotAllowed> {
        match (all_tenants, self.is_operator) {
            (false, _) => Ok(Holder::Tenant(self.tenant.clone())),
            (true, true) => Ok(Holder::Operator),
            (true, false) => Err(NotAllowed::Operator),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(holder: Holder, scope: Scope) -> Identity {
        Identity {
            holder,
            scopes: [scope].into_iter().collect(),
            key: None,
        }
    }

    #[test]
    fn a_call_acts_for_exactly_one_tenant() {
        let acme: TenantId = "acme".parse().unwrap();
        let tenant = |holder: &Holder, named| {
            let called = of(holder.clone(), Scope::Read).call(named, Scope::Read);
            called.map(|caller| (caller.tenant, caller.is_operator))
        };
        let own = Holder::Tenant(acme.clone());
        assert_eq!(tenant(&own, None), Ok((acme.clone(), false)));
        assert_eq!(tenant(&own, Some("acme")), Ok((acme.clone(), false)));
        assert_eq!(tenant(&own, Some("globex")), Err(NotAllowed::Tenant.into()));
        let all = Holder::Operator;
        assert_eq!(tenant(&all, None), Ok((TenantId::default(), true)));
        assert_eq!(tenant(&all, Some("acme")), Ok((acme, true)));
        for bad in ["", "Acme", "a b"] {
            assert!(matches!(
                tenant(&all, Some(bad)),
                Err(NotAdmitted::Tenant(_))
            ));
            assert!(matches!(
                tenant(&own, Some(bad)),
                Err(NotAdmitted::Tenant(_))
            ));
        }
    }

    #[test]
    fn no_scope_includes_another() {
        for has in Scopes::ALL.iter() {
            for needs in Scopes::ALL.iter() {
                let called = of(Holder::Operator, has).call(None, needs);
                assert_eq!(called.is_ok(), has == needs, "{has} {needs}");
            }
        }
    }
}
