//! Kubernetes quantities: `64Gi`, `3500m`, `1e3`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::as_text::serde_as_text;

/// Billionths in one unit. A billionth is the smallest amount that an API server keeps.
const ONE: u128 = 1_000_000_000;
const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];

/// Non-negative Kubernetes quantity. It keeps its text, and compares by its amount: `64Gi` equals
/// `65536Mi`.
///
/// ```
/// use tenet_translate::Quantity;
///
/// let quantity: Quantity = "1.5Gi".parse().unwrap();
/// assert_eq!(quantity.as_str(), "1.5Gi");
/// assert_eq!(quantity.units(), 1_610_612_736);
/// assert_eq!(quantity, "1536Mi".parse().unwrap());
/// ```
#[derive(Clone, Debug)]
pub struct Quantity {
    text: String,
    nanos: u128,
}

/// Error of parsing a quantity.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is not a Kubernetes quantity such as 16, 500m or 64Gi")]
pub struct QuantityError {
    text: String,
}

impl Quantity {
    /// Creates a quantity of whole units.
    pub fn of_units(number: u32) -> Self {
        Self { text: number.to_string(), nanos: u128::from(number) * ONE }
    }

    /// Creates a quantity in units of 2^20: `64Mi`.
    pub fn of_mebi(number: u32) -> Self {
        Self { text: format!("{number}Mi"), nanos: (u128::from(number) << 20) * ONE }
    }

    /// Creates a quantity in units of 2^30: `64Gi`.
    pub fn of_gibi(number: u32) -> Self {
        Self { text: format!("{number}Gi"), nanos: (u128::from(number) << 30) * ONE }
    }

    /// Returns the quantity as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the amount in billionths.
    pub fn nanos(&self) -> u128 {
        self.nanos
    }

    /// Returns the amount in whole units, rounded down. The unit is a byte for memory, for example.
    pub fn units(&self) -> u128 {
        self.nanos / ONE
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let text = text.to_owned();
        match nanos(&text) {
            Some(nanos) => Ok(Self { text, nanos }),
            None => Err(QuantityError { text }),
        }
    }
}

/// Returns the amount in billionths, rounded up as by an API server; `None` when the text does not follow the grammar
/// of `k8s.io/apimachinery/pkg/api/resource` without a sign, or the amount is beyond 2^128 billionths.
fn nanos(text: &str) -> Option<u128> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let digits = format!("0{whole}{fraction}").parse::<u128>().ok()?;
    let (factor, divisor) = factor(suffix)?;
    let divisor = power(10, u32::try_from(fraction.len()).ok()?)?.checked_mul(divisor)?;
    Some(digits.checked_mul(factor)?.div_ceil(divisor))
}

/// Returns the fraction by which a suffix multiplies, in billionths.
fn factor(suffix: &str) -> Option<(u128, u128)> {
    let index = |suffixes: &[&str]| suffixes.iter().zip(0..).find(|(known, _)| **known == suffix).map(|(_, at)| at);
    if let Some(at) = index(&BINARY) {
        return Some((power(1024, at + 1)?.checked_mul(ONE)?, 1));
    }
    if let Some(at) = index(&DECIMAL) {
        return Some((power(1000, at)?, 1));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    let (negative, digits) = match exponent.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, exponent.strip_prefix('+').unwrap_or(exponent)),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let power = power(10, digits.parse().ok()?)?;
    if negative { Some((ONE, power)) } else { Some((power.checked_mul(ONE)?, 1)) }
}

fn power(base: u128, exponent: u32) -> Option<u128> {
    base.checked_pow(exponent)
}

serde_as_text!(Quantity);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quantity(text: &str) -> Quantity {
        text.parse().unwrap()
    }

    #[test]
    fn quantities_follow_the_grammar_of_kubernetes() {
        for text in ["0", "16", "1.5", ".5", "5.", "500m", "64Gi", "1Ei", "1e3", "1E3", "12e-3", "1e+3", "1E", "100k"] {
            assert_eq!(quantity(text).to_string(), text);
        }
        for text in [
            "", ".", "-1", "+1", "1.2.3", "64GB", "64gi", "1 Gi", "e3", "Gi", "1e", "1e+", "1e-", "1e+-3", "1K", "x",
            "1x",
        ] {
            assert!(text.parse::<Quantity>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_amount_is_the_same_however_it_is_written() {
        for (a, b, equal) in [
            ("64Gi", "65536Mi", true),
            ("1.5Gi", "1536Mi", true),
            ("3500m", "3.5", true),
            ("1k", "1e3", true),
            ("1E", "1e18", true),
            ("12e-3", "12m", true),
            ("0", "0.0", true),
            ("1.0000000000000000000000000000000000000000000", "1", true),
            ("16", "16.5", false),
            ("1Gi", "1G", false),
        ] {
            assert_eq!(quantity(a) == quantity(b), equal, "{a} {b}");
        }
        assert!(quantity("999m") < quantity("1") && quantity("1Ki") > quantity("1k"));
    }

    #[test]
    fn an_amount_has_billionths_and_whole_units() {
        for (text, nanos, units) in [
            ("12345n", 12_345, 0),
            ("5u", 5_000, 0),
            ("250m", 250_000_000, 0),
            ("1.5", 1_500_000_000, 1),
            ("0.5Mi", (512 << 10) * ONE, 512 << 10),
            // The API server rounds up amounts below a billionth.
            ("0.1n", 1, 0),
            ("1e-20", 1, 0),
            ("999999999E", 999_999_999 * 10_u128.pow(27), 999_999_999 * 10_u128.pow(18)),
        ] {
            assert_eq!((quantity(text).nanos(), quantity(text).units()), (nanos, units), "{text}");
        }
        assert_eq!((Quantity::of_units(16), Quantity::of_gibi(64)), (quantity("16"), quantity("64Gi")));
        assert_eq!(Quantity::of_gibi(64).as_str(), "64Gi");
        assert!("1e30".parse::<Quantity>().is_err(), "beyond what is counted");
        assert!(format!("1{}", "0".repeat(50)).parse::<Quantity>().is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_a_quantity_or_an_error(text in "[-+0-9.]{0,6}[a-zA-Z]{0,2}[-+0-9]{0,4}|.{0,8}") {
            if let Ok(quantity) = text.parse::<Quantity>() {
                prop_assert_eq!(quantity.as_str(), text);
                prop_assert!(quantity.units() <= quantity.nanos());
            }
        }
    }
}
