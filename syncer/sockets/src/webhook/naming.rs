//! Names for objects that are sent with the beginning of one.

use aws_lc_rs::rand;

/// Alphabet of the names that Kubernetes generates: no vowels, so no words.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
const RANDOM: usize = 5;
/// Maximum length of a generated name: that of a Service. Other kinds permit longer names, and do not need them.
const LONGEST: usize = 63;

/// Returns a name that begins like this; `None` when the machine gives no random bytes.
pub fn generate(beginning: &str) -> Option<String> {
    let mut end = beginning.len().min(LONGEST - RANDOM);
    while !beginning.is_char_boundary(end) {
        end -= 1;
    }
    let mut name = beginning[..end].to_owned();
    let mut byte = [0];
    while name.len() < end + RANDOM {
        rand::fill(&mut byte).ok()?;
        // 243 is 9 times 27: every letter is as likely.
        if byte[0] < 243 {
            name.push(char::from(ALPHABET[usize::from(byte[0] % 27)]));
        }
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_begins_as_asked_and_ends_like_those_of_kubernetes() {
        for (beginning, kept) in [("web-", 4), ("", 0), (&"a".repeat(70), 58), (&"ä".repeat(40), 58)] {
            let (one, two) = (generate(beginning).unwrap(), generate(beginning).unwrap());
            assert_ne!(one, two);
            assert_eq!(one.len(), kept + 5, "{one}");
            assert!(beginning.starts_with(&one[..kept]));
            assert!(one[kept..].bytes().all(|byte| ALPHABET.contains(&byte)), "{one}");
        }
    }
}
