//! DNS names as Kubernetes defines them.

/// Maximum length of a label.
pub const MAX_LABEL: usize = 63;
/// Maximum length of a subdomain.
pub const MAX_SUBDOMAIN: usize = 253;

/// Returns true if `text` is a DNS label (RFC 1123), the form of names of namespaces and containers.
pub fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    bytes.len() <= MAX_LABEL
        && bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric)
        && bytes.iter().all(|byte| alphanumeric(byte) || *byte == b'-')
}

/// Returns true if `text` is a DNS label that begins with a letter (RFC 1035), which every API server accepts as a
/// Service name.
pub fn is_letter_label(text: &str) -> bool {
    is_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase())
}

/// Returns true if `text` is a DNS subdomain (RFC 1123), the form of names of pods and most objects.
pub fn is_subdomain(text: &str) -> bool {
    text.len() <= MAX_SUBDOMAIN && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_subdomains_are_those_of_kubernetes() {
        let longest = "a".repeat(MAX_LABEL);
        for label in ["a", "vc-1", "0", "a--b", &longest] {
            assert!(is_label(label) && is_subdomain(label), "{label}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a b", "ä", "a\n", &format!("{longest}a")] {
            assert!(!is_label(bad) && !is_subdomain(bad), "{bad:?}");
        }
        for name in ["a.b", "cluster.local", &format!("{longest}.{longest}")] {
            assert!(is_subdomain(name) && !is_label(name), "{name}");
        }
        for bad in [".a", "a.", "a..b", "a/b", &"a.".repeat(127), &format!("{}a", "ab.".repeat(84) + "ab")] {
            assert!(!is_subdomain(bad), "{bad}");
        }
        assert!(is_letter_label("a1") && !is_letter_label("1a") && !is_letter_label("a.b"));
    }
}
