//! What only the values together show to be wrong.

use super::{AuthMode, Config, EngineName};

/// What is wrong, each with the keys that it comes from: it is told of the first
/// that somebody set.
pub(super) fn conflicts(config: &Config) -> Vec<(&'static [&'static str], String)> {
    let rules = [limits, store, access, encryption, health];
    rules.into_iter().flat_map(|rule| rule(config)).collect()
}

type Conflict = (&'static [&'static str], String);

fn limits(config: &Config) -> Vec<Conflict> {
    let limits = &config.limits;
    let too_large = limits.max_batch_size < limits.max_payload_size;
    let told = "limits.max_payload_size must be at most limits.max_batch_size";
    told_if(
        too_large,
        &["limits.max_payload_size", "limits.max_batch_size"],
        told,
    )
}

fn store(config: &Config) -> Vec<Conflict> {
    let storage = &config.storage;
    let is_shared = storage.engine == EngineName::Postgres;
    let longest = storage.tenant_retention.values().max();
    let mut found = told_if(
        longest.is_some_and(|longest| *longest > storage.retention),
        &["storage.retention", "storage.tenant_retention"],
        "storage.tenant_retention must be at most storage.retention for every tenant",
    );
    found.extend(told_if(
        is_shared && storage.url.is_empty(),
        &["storage.engine"],
        "storage.engine is \"postgres\", which needs storage.url, the URL of the database; \
         set it by POSTRIDER_STORAGE_URL",
    ));
    found.extend(told_if(
        !is_shared && !storage.url.is_empty(),
        &["storage.url"],
        "storage.url names a database, which only storage.engine = \"postgres\" uses; \
         set that, or leave the URL out",
    ));
    found
}

fn access(config: &Config) -> Vec<Conflict> {
    let (auth, secrets) = (&config.auth, &config.secrets);
    let is_exposed = !config.server.listen.ip().to_canonical().is_loopback();
    let mut found = told_if(
        auth.mode == AuthMode::None && is_exposed,
        &["auth.mode", "server.listen"],
        "auth.mode is \"none\", which lets anybody do everything, so server.listen must be a \
         loopback address such as 127.0.0.1:50051",
    );
    found.extend(told_if(
        auth.admin_key.is_some() && auth.admin_key_file.is_some(),
        &["auth.admin_key"],
        "auth.admin_key and auth.admin_key_file are both set; leave one out",
    ));
    found.extend(told_if(
        !auth.certificates.is_empty() && config.tls.client_ca_file.is_none(),
        &["auth.certificates"],
        "auth.certificates needs tls.client_ca_file, the authorities of clients' certificates",
    ));
    found.extend(told_if(
        secrets.key.is_some() && secrets.key_file.is_some(),
        &["secrets.key"],
        "secrets.key and secrets.key_file are both set; leave one out",
    ));
    found
}

fn encryption(config: &Config) -> Vec<Conflict> {
    let (server, tls) = (&config.server, &config.tls);
    let is_encrypted = tls.cert_file.is_some() && tls.key_file.is_some();
    let is_exposed = !server.listen.ip().to_canonical().is_loopback();
    let mut found = told_if(
        tls.cert_file.is_some() != tls.key_file.is_some(),
        &["tls.cert_file", "tls.key_file"],
        "tls.cert_file and tls.key_file must be set together",
    );
    found.extend(told_if(
        tls.client_ca_file.is_some() && !is_encrypted,
        &["tls.client_ca_file"],
        "tls.client_ca_file needs tls.cert_file and tls.key_file",
    ));
    let exposed = format!(
        "server.listen is {}, which other machines reach: set tls.cert_file and tls.key_file, \
         or server.plaintext = true to serve them without encryption",
        server.listen
    );
    let unencrypted = tls.cert_file.is_none() && tls.key_file.is_none();
    found.extend(told_if(
        is_exposed && unencrypted && !server.plaintext,
        &["server.listen"],
        &exposed,
    ));
    found.extend(told_if(
        server.plaintext && is_encrypted,
        &["server.plaintext"],
        "server.plaintext is true, and tls.cert_file is set: leave one of them out",
    ));
    found
}

fn health(config: &Config) -> Vec<Conflict> {
    let server = &config.server;
    let same = server.health_listen == Some(server.listen) && server.listen.port() != 0;
    told_if(
        same,
        &["server.health_listen"],
        "server.health_listen must not be server.listen",
    )
}

fn told_if(is_wrong: bool, keys: &'static [&'static str], told: &str) -> Vec<Conflict> {
    is_wrong
        .then(|| (keys, told.to_owned()))
        .into_iter()
        .collect()
}
