//! Clients that are known by their certificate.

use super::list::Item;
use crate::domain::Grant;

/// Names of certificates, and what their holders may do.
pub(super) struct Granted;

impl Item for Granted {
    type Value = Grant;

    const EXPECTED: &'static str = "names, each with a tenant or \"*\" and with scopes (publish, \
         read, manage, admin; \"*\" needs admin), such as \"spiffe://example.org/billing = acme: \
         publish read, ops.example.org = *: read admin\"";

    fn parse(text: &str) -> Option<Grant> {
        text.parse().ok()
    }

    fn write(value: &Grant) -> String {
        value.to_string()
    }
}
