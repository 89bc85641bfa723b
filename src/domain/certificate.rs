//! Clients that are known by their certificate instead of a key.

use std::{fmt, str::FromStr};

use super::{ApiKeySpec, Holder, Identity, Invalid, Scopes};

/// How the holder of all tenants is written.
const ALL_TENANTS: &str = "*";

/// Whom a certificate names. An authority that is trusted has signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The subject, as RFC 4514 writes it.
    pub subject: String,
    /// Alternative names that are DNS names.
    pub dns_names: Vec<String>,
    /// Alternative names that are URIs, such as those of SPIFFE.
    pub uris: Vec<String>,
}

impl fmt::Display for Certificate {
    /// Its names, as a grant would have them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let others = self.dns_names.iter().chain(&self.uris);
        f.write_str(&self.subject)?;
        others
            .into_iter()
            .try_for_each(|name| write!(f, ", {name}"))
    }
}

/// What clients may do whose certificate has a name. Its text is such as
/// `spiffe://example.org/billing = acme: publish read`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    name: Name,
    holder: Holder,
    scopes: Scopes,
}

/// A name that a certificate may have. Each kind is looked for in its own place,
/// so that none can pass for another.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    Subject(String),
    Dns(String),
    Uri(String),
}

impl Grant {
    /// Whom this makes of the holder of a certificate, if it names them.
    pub fn identity(&self, certificate: &Certificate) -> Option<Identity> {
        self.name.is_of(certificate).then(|| Identity {
            holder: self.holder.clone(),
            scopes: self.scopes,
            key: None,
        })
    }

    /// Whether it is for all tenants.
    pub fn is_for_operator(&self) -> bool {
        self.holder == Holder::Operator
    }
}

impl Name {
    fn is_of(&self, certificate: &Certificate) -> bool {
        match self {
            Self::Subject(subject) => certificate.subject == *subject,
            Self::Uri(uri) => certificate.uris.contains(uri),
            Self::Dns(name) => {
                let mut names = certificate.dns_names.iter();
                names.any(|of| of.eq_ignore_ascii_case(name))
            }
        }
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        let kind = match text {
            uri if uri.contains("://") => Self::Uri,
            subject if subject.contains('=') => Self::Subject,
            _ => Self::Dns,
        };
        kind(text.to_owned())
    }
}

impl FromStr for Grant {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let parts = text.rsplit_once('=').and_then(|(name, granted)| {
            let (holder, scopes) = granted.split_once(':')?;
            (!name.trim().is_empty()).then_some((name.trim(), holder.trim(), scopes))
        });
        let (name, holder, scopes) = parts.ok_or_else(|| {
            Invalid::new("must be a name, \"=\", a tenant or \"*\", \":\" and scopes")
        })?;
        let holder = match holder {
            ALL_TENANTS => Holder::Operator,
            tenant => Holder::Tenant(tenant.parse()?),
        };
        let scopes: Result<Scopes, _> = scopes.split_whitespace().map(str::parse).collect();
        Ok(Self {
            name: name.into(),
            scopes: ApiKeySpec::check_scopes(scopes?, &holder)?,
            holder,
        })
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Name::Subject(name) | Name::Dns(name) | Name::Uri(name)) = &self.name;
        let holder = match &self.holder {
            Holder::Operator => ALL_TENANTS,
            Holder::Tenant(tenant) => tenant.as_str(),
        };
        write!(f, "{name} = {holder}:")?;
        self.scopes
            .iter()
            .try_for_each(|scope| write!(f, " {scope}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Scope;

    fn names(text: &str, subject: &str, dns: &str, uri: &str) -> bool {
        let certificate = Certificate {
            subject: subject.to_owned(),
            dns_names: vec!["other.example".to_owned(), dns.to_owned()],
            uris: vec![uri.to_owned()],
        };
        let grant: Grant = format!("{text} = acme: read").parse().unwrap();
        grant.identity(&certificate).is_some()
    }

    #[test]
    fn a_grant_makes_an_identity_of_whom_it_names() {
        let grant: Grant = "CN=billing = acme: publish read".parse().unwrap();
        let certificate = Certificate {
            subject: "CN=billing".to_owned(),
            dns_names: Vec::new(),
            uris: Vec::new(),
        };
        let known = grant.identity(&certificate).unwrap();
        assert_eq!(known.holder, Holder::Tenant("acme".parse().unwrap()));
        let scopes: Vec<_> = known.scopes.iter().collect();
        assert_eq!(scopes, [Scope::Publish, Scope::Read]);
        assert!(!grant.is_for_operator());
        let all: Grant = "ops.example=*:admin read".parse().unwrap();
        assert!(all.is_for_operator());
    }

    #[test]
    fn each_kind_of_name_is_looked_for_in_its_own_place() {
        for (name, subject, dns, uri) in [
            ("CN=a", true, false, false),
            ("Billing.example", false, true, false),
            ("spiffe://example.org/a", false, false, true),
        ] {
            let at = |here: &str| names(name, here, "b.example", "spiffe://b");
            assert_eq!(at(name), subject);
            let lower = name.to_lowercase();
            assert_eq!(names(name, "CN=b", &lower, "spiffe://b"), dns);
            assert_eq!(names(name, "CN=b", "b.example", name), uri);
        }
        assert!(!names("CN=a", "CN=ab", "CN=a", "CN=a"));
        assert!(!names("spiffe://a/b", "CN=b", "b.example", "spiffe://a/B"));
    }

    #[test]
    fn a_grant_is_written_as_it_is_read_and_nothing_else_is_one() {
        for text in [
            "CN=billing = acme: publish",
            "billing.example = acme: publish read",
            "spiffe://example.org/ops?a=b = *: read admin",
        ] {
            assert_eq!(text.parse::<Grant>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "billing.example",
            "billing.example = acme",
            "billing.example = acme:",
            "billing.example = Acme: read",
            "billing.example = acme: write",
            "= acme: read",
            "ops.example = *: read",
        ] {
            assert!(bad.parse::<Grant>().is_err(), "{bad}");
        }
    }
}
