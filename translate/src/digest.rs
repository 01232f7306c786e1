//! Short digests: 128 bits of SHA-256 as 26 characters that any Kubernetes name may carry.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// RFC 4648 base32 in lower case: letters and digits only, so a name may end in it.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Length of a digest in characters.
pub const LENGTH: usize = 26;

/// Returns the digest of a JSON value. Two values have the same digest only if they are equal; the order
/// of members does not matter.
pub fn digest(value: &Value) -> String {
    let mut hash = Sha256::new();
    feed(&mut hash, value);
    shorten(hash)
}

/// Returns the digest of a list of texts in a domain. Each text is hashed with its length in front, so a
/// different list or domain never gives the same bytes.
pub fn of_parts(domain: &str, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    text(&mut hash, domain);
    for part in parts {
        text(&mut hash, part);
    }
    shorten(hash)
}

/// Returns the first `length` characters of the hexadecimal SHA-256 of `bytes`.
pub fn hex(bytes: &[u8], length: usize) -> String {
    let nibbles = Sha256::digest(bytes).into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.take(length).filter_map(|nibble| char::from_digit(u32::from(nibble), 16)).collect()
}

fn feed(hash: &mut Sha256, value: &Value) {
    match value {
        Value::Null => hash.update(b"0"),
        Value::Bool(true) => hash.update(b"t"),
        Value::Bool(false) => hash.update(b"f"),
        Value::Number(number) => {
            hash.update(b"n");
            text(hash, &number.to_string());
        }
        Value::String(string) => {
            hash.update(b"s");
            text(hash, string);
        }
        Value::Array(items) => {
            hash.update(b"a");
            length(hash, items.len());
            for item in items {
                feed(hash, item);
            }
        }
        Value::Object(members) => {
            hash.update(b"o");
            length(hash, members.len());
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(key, _)| *key);
            for (key, value) in members {
                text(hash, key);
                feed(hash, value);
            }
        }
    }
}

fn text(hash: &mut Sha256, text: &str) {
    length(hash, text.len());
    hash.update(text.as_bytes());
}

fn length(hash: &mut Sha256, length: usize) {
    hash.update((length as u64).to_be_bytes());
}

fn shorten(hash: Sha256) -> String {
    base32(&hash.finalize()[..16])
}

fn base32(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut buffer, mut bits) = (0_u32, 0);
    for byte in bytes {
        buffer = (buffer << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            out.push(symbol(buffer >> bits));
        }
        buffer &= (1 << bits) - 1;
    }
    if bits > 0 {
        out.push(symbol(buffer << (5 - bits)));
    }
    out
}

fn symbol(bits: u32) -> char {
    char::from(ALPHABET[(bits & 31) as usize])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn base32_follows_the_examples_of_rfc_4648() {
        for (input, expected) in [
            ("", ""),
            ("f", "my"),
            ("fo", "mzxq"),
            ("foo", "mzxw6"),
            ("foob", "mzxw6yq"),
            ("fooba", "mzxw6ytb"),
            ("foobar", "mzxw6ytboi"),
        ] {
            assert_eq!(base32(input.as_bytes()), expected);
        }
    }

    #[test]
    fn a_digest_has_26_characters() {
        assert_eq!(digest(&json!(null)).len(), LENGTH);
        assert_eq!(of_parts("domain", &[]).len(), LENGTH);
    }

    #[test]
    fn values_that_differ_have_different_digests() {
        let values = [
            json!(null),
            json!(true),
            json!(false),
            json!(0),
            json!(1),
            json!(-1),
            json!(1.5),
            json!(""),
            json!("0"),
            json!([]),
            json!([[]]),
            json!([[], []]),
            json!(["a", "b"]),
            json!(["ab"]),
            json!({}),
            json!({"a": "b"}),
            json!({"ab": ""}),
            json!({"a": {"b": null}}),
            json!({"a": {}, "b": null}),
        ];
        let digests: std::collections::BTreeSet<_> = values.iter().map(digest).collect();
        assert_eq!(digests.len(), values.len());
    }

    #[test]
    fn parts_keep_their_borders() {
        assert_ne!(of_parts("d", &["ab", "c"]), of_parts("d", &["a", "bc"]));
        assert_ne!(of_parts("d", &["a"]), of_parts("d", &["a", ""]));
        assert_ne!(of_parts("d", &["a"]), of_parts("da", &[]));
    }
}
