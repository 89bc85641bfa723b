//! What a caller may do.

use std::{fmt, str::FromStr};

use super::Invalid;

/// A kind of calls. None of them includes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Publish events.
    Publish,
    /// Look at everything, secrets excepted.
    Read,
    /// Change subscriptions, retry, replay, erase.
    Manage,
    /// Give keys and take them back.
    Admin,
}

/// Some scopes.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u8);

impl Scope {
    const ALL: [Self; 4] = [Self::Publish, Self::Read, Self::Manage, Self::Admin];

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Publish => "publish",
            Self::Read => "read",
            Self::Manage => "manage",
            Self::Admin => "admin",
        })
    }
}

impl FromStr for Scope {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let scope = Self::ALL
            .into_iter()
            .find(|scope| scope.to_string() == text);
        scope.ok_or_else(|| Invalid::new("must be publish, read, manage or admin"))
    }
}

impl Scopes {
    /// Every scope.
    pub const ALL: Self = Self(0b1111);

    /// Whether this one is among them.
    pub fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The scopes, in the order in which they are declared.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        let all = Scope::ALL.into_iter();
        all.filter(move |scope| self.contains(*scope))
    }

    /// One bit for each scope. For the store.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// The scopes of these bits, if all of them stand for one.
    pub fn from_bits(bits: u8) -> Option<Self> {
        (bits & !Self::ALL.0 == 0).then_some(Self(bits))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<T: IntoIterator<Item = Scope>>(scopes: T) -> Self {
        let bits = scopes.into_iter().map(Scope::bit);
        Self(bits.fold(0, |all, bit| all | bit))
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_those_that_were_put_in() {
        let some: Scopes = [Scope::Admin, Scope::Publish, Scope::Admin]
            .into_iter()
            .collect();
        let read: Vec<_> = some.iter().collect();
        assert_eq!(read, [Scope::Publish, Scope::Admin]);
        assert_eq!(Scopes::from_bits(some.bits()), Some(some));
        assert_eq!(Scopes::from_bits(0b1_0000), None);
        assert_eq!(Scope::ALL.into_iter().collect::<Scopes>(), Scopes::ALL);
        assert_eq!("manage".parse(), Ok(Scope::Manage));
        assert!("Manage".parse::<Scope>().is_err());
        assert!(Scopes::default().is_empty() && !some.contains(Scope::Read));
    }
}
