use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::domain::damaged::damaged_text;

const LISTEN: Flag = Flag {
    name: "--listen",
    key: "server.listen",
    text: String::new(),
};

fn file(text: &str) -> (PathBuf, String) {
    (PathBuf::from("postrider.toml"), text.to_owned())
}

fn variable(name: &str, text: &str) -> (String, String) {
    (name.to_owned(), text.to_owned())
}

fn problems(file_text: &str, environment: &[(String, String)], flags: &[Flag]) -> String {
    let error = resolve(Some(&file(file_text)), environment, flags);
    error.expect_err("something is wrong").to_string()
}

#[test]
fn without_sources_everything_is_the_default() {
    let loaded = resolve(None, &[variable("HOME", "/")], &[]).unwrap();
    assert_eq!(loaded.config, Config::default());
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = file(
        "[server]\nlisten = '127.0.0.1:1'\nmax_concurrent_streams = 1_0\n\
         [log]\nlevel = 'warn'\nformat = 'text'\n[shutdown]\ndeadline = '3s'",
    );
    let environment = [
        variable("POSTRIDER_SERVER_LISTEN", "127.0.0.1:2"),
        variable("POSTRIDER_LOG_LEVEL", "debug"),
    ];
    let flag = Flag {
        text: "127.0.0.1:3".to_owned(),
        ..LISTEN
    };
    let Config {
        server,
        shutdown,
        log,
        ..
    } = resolve(Some(&file), &environment, &[flag]).unwrap().config;
    assert_eq!(server.listen, "127.0.0.1:3".parse().unwrap());
    assert_eq!(server.max_concurrent_streams, 10);
    assert_eq!(log.level, "debug");
    assert_eq!(log.format, crate::config::LogFormat::Text);
    assert_eq!(shutdown.deadline, Duration::from_secs(3));
}

#[test]
fn a_tenant_is_kept_no_longer_than_all_of_them() {
    let text = "[storage]\ntenant_retention = 'acme=7d,globex=40d'";
    let loaded = resolve(
        Some(&file(&format!("{text}\nretention = '40d'"))),
        &[variable("HOME", "/")],
        &[],
    );
    let periods = loaded.unwrap().config.storage.tenant_retention;
    let periods: Vec<_> = periods
        .values()
        .map(|period| period.as_secs() / 86_400)
        .collect();
    assert_eq!(periods, [7, 40]);
    let error = resolve(Some(&file(text)), &[variable("HOME", "/")], &[]).unwrap_err();
    let told = "storage.tenant_retention must be at most storage.retention for every tenant";
    assert!(error.to_string().contains(told), "{error}");
}

#[test]
fn a_list_may_be_an_array() {
    let text = "[delivery]\nallow = ['127.0.0.0/8', '10.1.2.3/32:8080']\nnameservers = []";
    let loaded = resolve(Some(&file(text)), &[], &[]).unwrap();
    let delivery = loaded.config.delivery;
    assert_eq!((delivery.allow.len(), delivery.nameservers.len()), (2, 0));
}

#[test]
fn a_wrong_value_is_named_with_its_source_and_what_would_be_right() {
    let flag = Flag {
        text: "localhost".to_owned(),
        ..LISTEN
    };
    let environment = [variable("POSTRIDER_STORAGE_ENGINE", "rocksdb")];
    let file = "[limits]\nmax_payload_size = '1MB'\n\n[shutdown]\ndeadline = 8\n\
                [delivery]\nmax_in_flight = [8]\n[log]\nlevel = 'infoo'";
    insta::assert_snapshot!(problems(file, &environment, &[flag]), @r#"
    configuration has 6 problems:
      file postrider.toml:2: limits.max_payload_size is "1MB", must be a size in B, KiB, MiB or GiB from 1KiB to 16MiB, such as "256KiB"
      file postrider.toml:5: shutdown.deadline is "8", must be a duration in ms, s, m, h or d from 1s to 1h, such as "10s"
      file postrider.toml:7: delivery.max_in_flight is "<array>", must be a whole number from 1 to 100000
      file postrider.toml:9: log.level is "infoo", must be off, error, warn, info, debug or trace, optionally followed by levels for parts, such as "info,postrider::dispatch=debug"
      environment POSTRIDER_STORAGE_ENGINE: storage.engine is "rocksdb", must be "sled", "fjall" or "postgres"
      flag --listen: server.listen is "localhost", must be an IP address and a port, such as 127.0.0.1:50051 or [::1]:50051
    "#);
}

#[test]
fn an_unknown_name_is_named_with_the_closest_one() {
    let environment = [
        variable("POSTRIDER_SERVER_LISEN", "127.0.0.1:1"),
        variable("POSTRIDER_WHATEVER_ELSE", "1"),
    ];
    let file = "[servr]\nlisten = '127.0.0.1:1'\n[storage]\ndata-dir = '/tmp'\ncolour = 'red'";
    insta::assert_snapshot!(problems(file, &environment, &[]), @r#"
    configuration has 5 problems:
      file postrider.toml:1: there is no section [servr]; did you mean [server]?
      file postrider.toml:4: there is no key storage.data-dir; did you mean storage.data_dir?
      file postrider.toml:5: there is no key storage.colour; `postrider config show --reference` lists them all
      environment POSTRIDER_SERVER_LISEN: sets no key; did you mean POSTRIDER_SERVER_LISTEN?
      environment POSTRIDER_WHATEVER_ELSE: sets no key; `postrider config show --reference` lists them all
    "#);
}

#[test]
fn a_file_that_is_not_toml_is_refused_by_line() {
    insta::assert_snapshot!(problems("[server]\nlisten 1", &[], &[]), @"configuration: file postrider.toml:2: key with no value, expected `=`");
    insta::assert_snapshot!(problems("server = 1", &[], &[]), @"configuration: file postrider.toml:1: server must be a table, [server]");
}

#[test]
fn a_batch_must_have_room_for_one_payload() {
    let file = "[limits]\nmax_payload_size = '8MiB'";
    insta::assert_snapshot!(problems(file, &[], &[]), @"configuration: file postrider.toml:2: limits.max_payload_size must be at most limits.max_batch_size");
}

#[test]
fn other_machines_are_served_encrypted_or_in_plaintext_that_is_wanted() {
    let exposed = "[server]\nlisten = '0.0.0.0:50051'\n";
    insta::assert_snapshot!(problems(exposed, &[], &[]), @"configuration: file postrider.toml:2: server.listen is 0.0.0.0:50051, which other machines reach: set tls.cert_file and tls.key_file, or server.plaintext = true to serve them without encryption");
    let encrypted = "[tls]\ncert_file = 'a'\nkey_file = 'b'";
    for right in ["plaintext = true", encrypted] {
        let file = file(&format!("{exposed}{right}"));
        resolve(Some(&file), &[], &[]).unwrap();
    }
    for loopback in ["127.0.0.2:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        let listen = variable("POSTRIDER_SERVER_LISTEN", loopback);
        resolve(None, &[listen], &[]).unwrap();
    }
}

#[test]
fn what_encryption_needs_is_set_together() {
    insta::assert_snapshot!(problems("[tls]\nkey_file = 'b'", &[], &[]), @"configuration: file postrider.toml:2: tls.cert_file and tls.key_file must be set together");
    insta::assert_snapshot!(problems("[tls]\nclient_ca_file = 'b'", &[], &[]), @"configuration: file postrider.toml:2: tls.client_ca_file needs tls.cert_file and tls.key_file");
    let both = "[server]\nplaintext = true\n[tls]\ncert_file = 'a'\nkey_file = 'b'";
    insta::assert_snapshot!(problems(both, &[], &[]), @"configuration: file postrider.toml:2: server.plaintext is true, and tls.cert_file is set: leave one of them out");
    let health = "[server]\nhealth_listen = '127.0.0.1:50051'";
    insta::assert_snapshot!(problems(health, &[], &[]), @"configuration: file postrider.toml:2: server.health_listen must not be server.listen");
}

#[test]
fn what_kubernetes_sets_for_a_service_is_no_key() {
    let environment = [
        variable("POSTRIDER_SERVICE_HOST", "10.0.0.1"),
        variable("POSTRIDER_SERVICE_PORT_GRPC", "50051"),
        variable("POSTRIDER_PORT", "tcp://10.0.0.1:50051"),
        variable("POSTRIDER_PORT_50051_TCP_ADDR", "10.0.0.1"),
        variable("POSTRIDER_CONFIG", "elsewhere.toml"),
    ];
    let loaded = resolve(None, &environment, &[]).unwrap();
    assert_eq!(loaded.config, Config::default());
}

#[test]
fn a_file_that_was_named_must_exist() {
    let error = load(Some(PathBuf::from("/no/such/file")), &[]).unwrap_err();
    assert!(error.to_string().contains("/no/such/file"), "{error}");
}

#[test]
fn the_url_of_a_database_belongs_to_the_engine_that_uses_it() {
    let engine = variable("POSTRIDER_STORAGE_ENGINE", "postgres");
    let url = variable("POSTRIDER_STORAGE_URL", "postgres://me:hush@db/hooks");
    insta::assert_snapshot!(problems("", std::slice::from_ref(&engine), &[]), @r#"
    configuration: environment POSTRIDER_STORAGE_ENGINE: storage.engine is "postgres", which needs storage.url, the URL of the database; set it by POSTRIDER_STORAGE_URL
    "#);
    insta::assert_snapshot!(problems("", std::slice::from_ref(&url), &[]), @r#"
    configuration: environment POSTRIDER_STORAGE_URL: storage.url names a database, which only storage.engine = "postgres" uses; set that, or leave the URL out
    "#);
    let loaded = resolve(None, &[engine, url], &[]).unwrap();
    let shown = crate::config::effective(&loaded);
    assert!(
        shown.contains("url = \"postgres://me:***@db/hooks\""),
        "{shown}"
    );
}

#[test]
fn a_url_that_is_none_is_not_shown_either() {
    let url = variable("POSTRIDER_STORAGE_URL", "host=db password=hush");
    insta::assert_snapshot!(problems("", &[url], &[]), @r#"
    configuration: environment POSTRIDER_STORAGE_URL: storage.url must be empty, or a URL such as "postgres://user:password@host:5432/database"
    "#);
}

const FILE: &str = "[server]\nlisten = '127.0.0.1:1'\nmax_concurrent_streams = 1_0\n\
    [storage]\nengine = \"fjall\"\ncache_size = '1GiB'\ntenant_retention = 'a=7d,b=8d'\n\
    [delivery]\ndisable_after = '36h'\n[log]\nlevel = 'postrider=debug,warn'\n";

proptest! {
    #[test]
    fn whatever_is_configured_is_taken_or_told_by_place(
        text in damaged_text(&[FILE]),
        value in damaged_text(&["127.0.0.1:1", "10s", "64MiB", "a=7d,b=8d", "true"]),
    ) {
        let names = ["SERVER_LISTEN", "STORAGE_CACHE_SIZE", "STORAGE_TENANT_RETENTION",
            "DELIVERY_DISABLE_AFTER", "LOG_LEVEL"];
        let environment = names.map(|name| variable(&format!("POSTRIDER_{name}"), &value));
        if let Err(error) = resolve(Some(&file(&text)), &environment, &[]) {
            prop_assert!(!error.0.is_empty());
            for problem in error.0 {
                prop_assert!(problem.contains(": "), "{}", problem);
            }
        }
    }
}
