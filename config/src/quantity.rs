use std::fmt;

use serde::{Deserialize, Serialize};

/// The suffixes of Kubernetes quantities; an exponent such as `e3` stands in their place.
const SUFFIXES: [&str; 16] = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// A Kubernetes quantity that is not negative, such as `16`, `3500m` or `64Gi`, kept as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Quantity(String);

/// A text that is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a Kubernetes quantity such as 16, 500m or 64Gi")]
pub struct QuantityError {
    text: String,
}

impl Quantity {
    pub(crate) fn whole(number: u32, suffix: &str) -> Self {
        Self(format!("{number}{suffix}"))
    }

    /// The quantity as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Quantity {
    type Error = QuantityError;

    fn try_from(text: String) -> Result<Self, QuantityError> {
        if is_quantity(&text) { Ok(Self(text)) } else { Err(QuantityError { text }) }
    }
}

impl From<Quantity> for String {
    fn from(quantity: Quantity) -> Self {
        quantity.0
    }
}

/// The grammar of `k8s.io/apimachinery/pkg/api/resource`, without a sign.
pub(crate) fn is_quantity(text: &str) -> bool {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let digits = number.bytes().any(|byte| byte.is_ascii_digit());
    digits && number.matches('.').count() <= 1 && is_suffix(suffix)
}

fn is_suffix(suffix: &str) -> bool {
    let exponent = || {
        let digits = suffix.strip_prefix(['e', 'E'])?;
        let digits = digits.strip_prefix(['+', '-']).unwrap_or(digits);
        Some(!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    SUFFIXES.contains(&suffix) || exponent().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_follow_the_grammar_of_kubernetes() {
        for text in ["0", "16", "1.5", ".5", "5.", "500m", "64Gi", "1Ei", "1e3", "1E3", "12e-3", "1E", "100k"] {
            assert!(is_quantity(text), "{text}");
        }
        for text in ["", ".", "-1", "+1", "1.2.3", "64GB", "64gi", "1 Gi", "e3", "Gi", "1e", "1e+", "1K"] {
            assert!(!is_quantity(text), "{text}");
        }
    }
}
