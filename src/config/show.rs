//! Shows the configuration: the effective one as a file, and the reference of
//! all keys.

use std::fmt::Write;

use super::{Config, Loaded};

/// The effective configuration as TOML that can be used as a file, each value
/// with its source. Passwords are left out of it.
pub fn effective(loaded: &Loaded) -> String {
    let mut text = "# Effective configuration. It can be used as a file.\n".to_owned();
    for section in loaded.config.sections() {
        line(&mut text, format_args!("\n[{}]", section.name()));
        for key in section.keys() {
            let value = section.get(key.name).unwrap_or_default();
            let source = loaded.source(key);
            line(
                &mut text,
                format_args!("{} = {value}  # {source}", key.name),
            );
        }
    }
    text
}

/// The reference of all keys, as Markdown.
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    for section in Config::default().sections() {
        line(&mut text, format_args!("\n## [{}]", section.name()));
        line(&mut text, format_args!("\n{}\n", section.about()));
        line(
            &mut text,
            format_args!("| key | default | what it is | environment |"),
        );
        line(&mut text, format_args!("| --- | --- | --- | --- |"));
        for key in section.keys() {
            let (name, about, variable) = (key.name, key.about, key.variable());
            let (default, expected) = ((key.default)(), (key.expected)());
            line(
                &mut text,
                format_args!(
                    "| `{name}` | `{default}` | {about} Must be {expected}. | `{variable}` |"
                ),
            );
        }
    }
    text
}

const HEAD: &str = "\
# Configuration

Printed by `postrider config show --reference`.

A value is taken from the first of these that has it: a flag of the command \
line, an environment variable, the file, the default. The file is TOML, one \
table for each section below; it is named by `--config` or `POSTRIDER_CONFIG` \
and must then exist, otherwise `postrider.toml` in the working directory is \
read if there is one. A name that is not known, in the file or among the \
variables that begin with `POSTRIDER_`, is an error. `postrider config show` \
prints the values in effect and where each came from.

Flags of `postrider serve`: `--config`, `--listen` (server.listen), `--data-dir` \
(storage.data_dir), `--auth` (auth.mode), `--log-level` (log.level), `--log-format` (log.format).
";

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to a String does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_is_the_reference() {
        assert!(
            include_str!("../../docs/configuration.md") == reference(),
            "write it anew: cargo run -- config show --reference > docs/configuration.md"
        );
    }

    #[test]
    fn the_effective_configuration_is_a_file() {
        insta::assert_snapshot!(effective(&Loaded::default()), @r#"
        # Effective configuration. It can be used as a file.

        [server]
        listen = "127.0.0.1:50051"  # default
        plaintext = false  # default
        health_listen = ""  # default
        max_connections = 4096  # default
        max_connections_per_address = 1024  # default
        max_concurrent_streams = 100  # default
        max_calls = 1024  # default
        max_streams = 1024  # default
        max_request_memory = "256MiB"  # default
        max_response_memory = "256MiB"  # default

        [tls]
        cert_file = ""  # default
        key_file = ""  # default
        client_ca_file = ""  # default
        client_auth = "required"  # default

        [auth]
        mode = "keys"  # default
        admin_key = ""  # default
        admin_key_file = ""  # default
        certificates = ""  # default

        [secrets]
        key = ""  # default
        key_file = ""  # default

        [storage]
        engine = "sled"  # default
        data_dir = "./data"  # default
        cache_size = "64MiB"  # default
        url = ""  # default
        connections = 16  # default
        lease = "10s"  # default
        retention = "30d"  # default
        tenant_retention = ""  # default

        [limits]
        max_payload_size = "256KiB"  # default
        max_batch_size = "4MiB"  # default
        max_batch_events = 1000  # default

        [quotas]
        publish_rate = ""  # default
        tenant_publish_rate = ""  # default
        publish_size = ""  # default
        tenant_publish_size = ""  # default
        subscriptions = ""  # default
        tenant_subscriptions = ""  # default
        pending = ""  # default
        tenant_pending = ""  # default

        [delivery]
        max_in_flight = 4096  # default
        disable_after = "5d"  # default
        allow = ""  # default
        nameservers = ""  # default
        ca_file = ""  # default

        [shutdown]
        deadline = "8s"  # default

        [log]
        level = "info"  # default
        format = "auto"  # default
        "#);
    }
}
