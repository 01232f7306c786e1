/// Patterns of annotation keys. `*` matches any run of characters, a slash included; every other
/// character matches itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Globs(Vec<Pattern>);

/// A pattern, split at its first and its last star: each key of each object is compared with dozens of them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    /// Text in front of the first star; the whole pattern when there is none.
    first: String,
    /// Text between the first and the last star, and behind the last one.
    rest: Option<(String, String)>,
}

impl Globs {
    /// Creates a set of patterns.
    pub fn new<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Self {
        Self(patterns.into_iter().map(|pattern| Pattern::new(pattern.as_ref())).collect())
    }

    /// Returns true if there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns true if any pattern matches all of `key`.
    pub fn matches(&self, key: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(key))
    }
}

impl Pattern {
    fn new(pattern: &str) -> Self {
        let Some((first, rest)) = pattern.split_once('*') else {
            return Self { first: pattern.to_owned(), rest: None };
        };
        let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
        Self { first: first.to_owned(), rest: Some((middle.to_owned(), last.to_owned())) }
    }

    /// Matches without backtracking: the first and last piece are tied to the ends; each piece between takes the first
    /// position where it fits, which leaves the most room for the rest.
    fn matches(&self, key: &str) -> bool {
        let Some((middle, last)) = &self.rest else {
            return self.first == key;
        };
        let Some(key) = key.strip_prefix(&*self.first).and_then(|key| key.strip_suffix(&**last)) else {
            return false;
        };
        middle.split('*').try_fold(key, |key, piece| key.find(piece).map(|at| &key[at + piece.len()..])).is_some()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, key: &str) -> bool {
        Globs::new([pattern]).matches(key)
    }

    #[test]
    fn stars_match_any_run() {
        for (pattern, key, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "a/b.c", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("a", "A", false),
            ("a*", "a", true),
            ("*a", "a", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("ab*ba", "aba", false),
            ("*.example.com/*", "x.example.com/y", true),
            ("*.example.com/*", "example.com/y", false),
            ("*example.com/*", "example.com/", true),
            ("a*b*c", "axbxbc", true),
            ("a*b*c", "acb", false),
            ("a**c", "ac", true),
            ("*ab*ab*", "abab", true),
            ("*ab*ab*", "abb", false),
            ("*aab", "aaab", true),
            ("[a]?.", "[a]?.", true),
            ("a?", "ab", false),
            ("\u{e4}*\u{f6}", "\u{e4}\u{1F600}\u{f6}", true),
        ] {
            assert_eq!(matches(pattern, key), expected, "{pattern:?} on {key:?}");
        }
    }

    #[test]
    fn a_pathological_pattern_costs_no_more_than_its_length() {
        let pattern = format!("{}b", "a*".repeat(5_000));
        let key = "a".repeat(100_000);
        assert!(!matches(&pattern, &key));
        assert!(matches(&"*".repeat(100_000), &key));
    }

    /// Textbook definition: exponential, and obviously correct.
    fn plainly(pattern: &[u8], key: &[u8]) -> bool {
        match (pattern.split_first(), key.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), None) => plainly(rest, key),
            (Some((b'*', rest)), Some((_, shorter))) => plainly(rest, key) || plainly(pattern, shorter),
            (Some((a, rest)), Some((b, shorter))) => a == b && plainly(rest, shorter),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn the_matcher_agrees_with_the_definition(pattern in "[ab*]{0,8}", key in "[ab]{0,10}") {
            prop_assert_eq!(matches(&pattern, &key), plainly(pattern.as_bytes(), key.as_bytes()));
        }
    }
}
