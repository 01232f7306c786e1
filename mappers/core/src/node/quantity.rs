//! Amounts as Kubernetes writes them: `64Gi`, `3500m`, `1e3`.

/// Whether two quantities are the same amount.
pub(super) fn same(a: &str, b: &str) -> bool {
    a == b || amount(a).is_some_and(|amount_of_a| amount(b) == Some(amount_of_a))
}

/// The amount in billionths, the smallest that the API server keeps.
fn amount(text: &str) -> Option<i128> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let scaled = digits.checked_mul(factor(suffix)?)?;
    let unit = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    (scaled % unit == 0).then_some(scaled / unit)
}

/// What a suffix multiplies with, in billionths.
fn factor(suffix: &str) -> Option<i128> {
    const ONE: i128 = 1_000_000_000;
    const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
    let power = |place: usize| u32::try_from(place).ok();
    if let Some(place) = BINARY.iter().position(|binary| *binary == suffix) {
        return 1024_i128.checked_pow(power(place)? + 1)?.checked_mul(ONE);
    }
    if let Some(place) = DECIMAL.iter().position(|decimal| *decimal == suffix) {
        return 1000_i128.checked_pow(power(place)?);
    }
    let exponent: u32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    10_i128.checked_pow(exponent)?.checked_mul(ONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_the_same_however_it_is_written() {
        for (a, b, equal) in [
            ("64Gi", "65536Mi", true),
            ("1.5Gi", "1536Mi", true),
            ("3500m", "3.5", true),
            ("1k", "1e3", true),
            ("1E", "1e18", true),
            ("0", "0.0", true),
            ("16", "16.5", false),
            ("1Gi", "1G", false),
            ("1", "x", false),
            ("x", "x", true),
        ] {
            assert_eq!(same(a, b), equal, "{a} {b}");
        }
    }
}
