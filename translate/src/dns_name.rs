//! DNS names as Kubernetes defines them.

/// Maximum length of a label.
pub const MAX_LABEL: usize = 63;
/// Maximum length of a subdomain.
pub const MAX_SUBDOMAIN: usize = 253;

/// Returns true if `text` is a DNS label (RFC 1123), the form of names of namespaces and containers.
pub fn is_label(text: &str) -> bool {
    text.len() <= MAX_LABEL && is_part(text)
}

/// Returns true if `text` is a DNS label that begins with a letter (RFC 1035), which every API server accepts as a
/// Service name.
pub fn is_letter_label(text: &str) -> bool {
    is_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase())
}

/// Returns true if `text` is a DNS subdomain as Kubernetes takes it, the form of names of pods and most objects. Unlike
/// in RFC 1123, a part between dots may have more than 63 characters: a pod may be named by 253 letters.
pub fn is_subdomain(text: &str) -> bool {
    text.len() <= MAX_SUBDOMAIN && text.split('.').all(is_part)
}

/// Returns true if `text` is a label of any length.
fn is_part(text: &str) -> bool {
    let bytes = text.as_bytes();
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric)
        && bytes.iter().all(|byte| alphanumeric(byte) || *byte == b'-')
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
        for bad in ["", "-a", "a-", "A", "a_b", "a b", "ä", "a\n"] {
            assert!(!is_label(bad) && !is_subdomain(bad), "{bad:?}");
        }
        let parts = [format!("{longest}a"), "a".repeat(MAX_SUBDOMAIN), format!("b.{longest}{longest}.c")];
        for name in ["a.b", "cluster.local", &format!("{longest}.{longest}"), &parts[0], &parts[1], &parts[2]] {
            assert!(is_subdomain(name) && !is_label(name), "{name}");
        }
        let long = [format!("{}a", "ab.".repeat(84) + "ab"), "a".repeat(MAX_SUBDOMAIN + 1)];
        for bad in [".a", "a.", "a..b", "a.-b", "a/b", &"a.".repeat(127), &long[0], &long[1]] {
            assert!(!is_subdomain(bad), "{bad}");
        }
        assert!(is_letter_label("a1") && !is_letter_label("1a") && !is_letter_label("a.b"));
    }
}
