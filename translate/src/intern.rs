//! Text of kinds and rule tables, kept once and for the life of the process.
//!
//! Kinds, rules and projections are small values that are copied freely, so their text is
//! `&'static str`: a constant of the code, or text of the configuration that was interned here.
//! The interner only grows, so it takes no text from a cluster: a tenant could fill the memory
//! with names. Such text is looked up with [`lookup`], which never adds anything.

use std::collections::HashSet;
use std::sync::{LazyLock, PoisonError, RwLock};

type Texts = HashSet<&'static str>;
type Lists = HashSet<&'static [&'static str]>;

/// Known from the start: the core group, and its kinds that own host objects whatever mappers there are.
const CORE: [&str; 6] = ["", "ConfigMap", "Node", "Pod", "Secret", "Service"];

static TEXTS: LazyLock<RwLock<Texts>> = LazyLock::new(|| RwLock::new(Texts::from(CORE)));
static LISTS: LazyLock<RwLock<Lists>> = LazyLock::new(RwLock::default);

/// Keeps a text of the code or the configuration, and returns the one copy of it.
pub fn intern(text: &str) -> &'static str {
    lookup(text).unwrap_or_else(|| {
        let mut texts = TEXTS.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = texts.get(text) {
            return known;
        }
        let kept: &'static str = Box::leak(text.into());
        texts.insert(kept);
        kept
    })
}

/// Makes a constant of the code known to [`lookup`].
pub fn register(text: &'static str) {
    if lookup(text).is_none() {
        TEXTS.write().unwrap_or_else(PoisonError::into_inner).insert(text);
    }
}

/// Returns the copy of a text that the code or the configuration has brought; `None` when neither has.
pub fn lookup(text: &str) -> Option<&'static str> {
    TEXTS.read().unwrap_or_else(PoisonError::into_inner).get(text).copied()
}

/// Keeps a list of texts of the configuration, such as the field paths of a projection.
pub fn intern_all<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> &'static [&'static str] {
    let texts: Vec<&'static str> = texts.into_iter().map(|text| intern(text.as_ref())).collect();
    let mut lists = LISTS.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = lists.get(texts.as_slice()) {
        return known;
    }
    let kept: &'static [&'static str] = texts.leak();
    lists.insert(kept);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_once() {
        let (first, again) = (intern("gateways"), intern(&["gate", "ways"].concat()));
        assert!(std::ptr::eq(first, again));
        let (first, again) = (intern_all(["spec.a", "spec.b"]), intern_all(vec!["spec.a".to_owned(), "spec.b".into()]));
        assert!(std::ptr::eq(first, again));
        assert_eq!(first, ["spec.a", "spec.b"]);
    }

    #[test]
    fn a_lookup_adds_nothing() {
        let text = "a text that neither code nor configuration has brought";
        assert_eq!((lookup(text), lookup(text)), (None, None));
        register("a constant");
        assert_eq!(lookup("a constant"), Some("a constant"));
    }
}
