//! Which URLs are taken, and what is said of the others.

use super::*;

#[test]
fn urls_that_no_post_can_go_to_are_refused() {
    let long = format!("https://client.example/{}", "a".repeat(MAX_LENGTH));
    for bad in [
        "",
        "client.example/hooks",
        "/hooks",
        "ftp://client.example/",
        "file:///etc/passwd",
        "https://",
        "https:client.example/",
        "https:///client.example/",
        "https:\\\\client.example/",
        "https://user@client.example/",
        "https://user:word@client.example/",
        "https://@client.example/",
        "https://client.example\\@127.0.0.1/",
        "https://client.example/#part",
        "https://client.example:0/",
        "https://client.example:65536/",
        "https://client.example/a b",
        "https://client.example/\n",
        "https://[::1/",
        "http://a..b/x",
        "http://.client.example/",
        "http://client.example../",
        "http://./",
        "http://a\u{3002}\u{3002}b/",
        "http://-a.example/",
        "http://a-.example/",
        "http://a,b.example/",
        &long,
    ] {
        assert!(bad.parse::<EndpointUrl>().is_err(), "{bad:?}");
    }
}

#[test]
fn a_host_may_be_an_address_or_end_in_the_root() {
    for good in [
        "https://client.example./",
        "http://localhost:8080/",
        "http://under_score.client.example/",
        "http://192.0.2.1/",
        "http://[2001:db8::1]:80/",
    ] {
        assert!(good.parse::<EndpointUrl>().is_ok(), "{good:?}");
    }
}

#[test]
fn a_url_is_kept_in_its_canonical_form() {
    let text = "HTTPS://Client.Example:443/a/../hooks?x=1";
    let url: EndpointUrl = text.parse().unwrap();
    assert_eq!(url.as_str(), "https://client.example/hooks?x=1");
    assert_eq!(EndpointUrl::from_canonical(url.as_str()), Some(url));
}

#[test]
fn what_was_right_under_older_rules_stays_readable() {
    for (kept, readable) in [
        ("http://a,b.example/", true),
        ("http://[::ffff:8.8.8.8]/", true),
        ("ftp://client.example/", false),
        ("", false),
    ] {
        let read = EndpointUrl::from_canonical(kept);
        assert_eq!(read.is_some(), readable, "{kept}");
    }
}

#[test]
fn it_is_said_how_to_spell_a_host() {
    let cases = [
        ("http://2130706433/", "must spell the address as 127.0.0.1"),
        ("http://127.0.0.1./", "must spell the address as 127.0.0.1"),
        ("http://0x7f.1:80/", "must spell the address as 127.0.0.1"),
        (
            "http://[::ffff:8.8.8.8]/",
            "must spell the address as 8.8.8.8",
        ),
        (
            "http://localh%6Fst/",
            "must spell the host without % escapes, as it is",
        ),
        (
            "https:client.example",
            "must begin with https:// and then the host",
        ),
        (
            "http://user@client.example/",
            "must not carry a user name or password; use a custom header",
        ),
        (
            "http:\\\\client.example/",
            "must begin with http:// and then the host",
        ),
        ("http://client.example\\a/", "must not contain a backslash"),
    ];
    for (url, expected) in cases {
        let told = url.parse::<EndpointUrl>().unwrap_err();
        assert_eq!(told.to_string(), expected, "{url}");
    }
}
