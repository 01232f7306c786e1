use super::*;

/// Samples of each format: accepted texts and refused texts.
const SAMPLES: &[(&str, &[&str], &[&str])] = &[
    ("text", &["a", "/etc/x y"], &["", "a\0b"]),
    ("dns-label", &["a", "vc-1", "0", "123"], &["", "-a", "a-", "A", "a.b", "a_b", "é"]),
    ("dns-subdomain", &["cluster.local", "a", "a-1.b"], &["", ".a", "a.", "a..b", "A.b", "a/b"]),
    ("host-service-reference", &["postgres", "shared/postgres"], &["", "a/b/c", "/a", "a/", "A", "shared/*"]),
    ("service-reference", &["kube-system/kube-dns"], &["", "kube-dns", "a/b/c", "/a", "a/", "A/b"]),
    ("tenet-duration", &["1s", "5m", "1h30m", "24h"], &["5", "m", "5 m", "-1s", "1d", "5s5m"]),
    ("webhook-timeout", &["1s", "30s"], &["", "5", "1m", "-1s"]),
    ("quantity", &["16", "1.5", "500m", "64Gi", "1e3"], &["", "-1", "64GB", "1K", "Gi"]),
    ("annotation-glob", &["*", "a/*", "tenet.shop/a", "*.sh/a"], &["", "a b", "a?", "ä"]),
    ("key-glob", &["*", "dedicated", "example.com/*"], &["", "a b", "a?", "ä"]),
    ("field-path", &["spec.hostNetwork", "spec.volumes[].hostPath"], &["", "spec.", ".spec", "spec.a[0]", "spec/a"]),
    ("ip", &["10.96.0.10", "fd00::1"], &["", "kube-dns"]),
    ("socket-address", &["127.0.0.1:9090", "[::]:0"], &["", "9090", "127.0.0.1"]),
    ("loopback-address", &["127.0.0.1:9090", "[::1]:0", "127.9.9.9:1"], &["", "9090", "127.0.0.1"]),
    ("log-directives", &["info", "WARN", "info,a::b=debug", "a=off"], &["", "info,", "info, debug"]),
];

/// Texts that only the check refuses, because a regular expression for them would be unreadable.
const BEYOND_PATTERNS: &[(&str, &str)] = &[
    ("tenet-duration", ""),
    ("tenet-duration", "0s"),
    ("tenet-duration", "25h"),
    ("webhook-timeout", "0s"),
    ("webhook-timeout", "31s"),
    ("annotation-glob", "tenet.sh/*"),
    ("annotation-glob", "tenet.sh*"),
    ("ip", "1.2.3"),
    ("socket-address", "localhost:9090"),
    ("socket-address", "127.0.0.1:99999"),
    ("loopback-address", "0.0.0.0:9090"),
    ("loopback-address", "localhost:9090"),
    ("log-directives", "inof"),
    ("log-directives", "=info"),
    ("log-directives", "a=b"),
];

#[test]
fn the_check_and_the_pattern_of_a_format_agree() {
    for format in FORMATS {
        let pattern = regex::Regex::new(format.pattern).unwrap();
        let (_, good, bad) = SAMPLES.iter().find(|(name, ..)| *name == format.name).unwrap();
        for (text, expected) in good.iter().map(|text| (text, true)).chain(bad.iter().map(|text| (text, false))) {
            assert_eq!((format.accepts)(text), expected, "{}: {text:?}", format.name);
            assert_eq!(pattern.is_match(text), expected, "pattern of {}: {text:?}", format.name);
        }
    }
}

#[test]
fn the_check_refuses_more_than_the_pattern() {
    for (name, text) in BEYOND_PATTERNS {
        let format = find(name).unwrap();
        assert!(!(format.accepts)(text), "{name}: {text:?}");
        assert!(regex::Regex::new(format.pattern).unwrap().is_match(text), "{name}: {text:?}");
    }
}

#[test]
fn a_label_of_63_characters_fits_and_one_of_64_does_not() {
    assert!(is_label(&"a".repeat(63)));
    assert!(!is_label(&"a".repeat(64)));
}
