//! Names that mean something only inside of a network.

/// Last labels that no public name has: reserved by RFC 6761, 6762 (with its
/// appendix G), 7686, 8375 and 9476 or by ICANN, or in use by Kubernetes and
/// resolvers. `arpa` holds home networks and addresses read backwards.
const INTERNAL: [&str; 14] = [
    "alt",
    "arpa",
    "corp",
    "home",
    "internal",
    "intranet",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "mail",
    "onion",
    "private",
    "svc",
];

/// Whether a name, in lower case and without the dot of the root, is not a
/// public one. A name of one label is completed by whoever resolves it.
pub(super) fn is_internal(name: &str) -> bool {
    match name.rsplit_once('.') {
        None => true,
        Some((_, last)) => INTERNAL.contains(&last),
    }
}
