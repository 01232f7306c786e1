//! Amounts as metrics carry them: `12345n` cores, `2048Ki` bytes.

const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
const NANO: u128 = 1_000_000_000;

/// Billionths of a core.
pub fn nano_cores(text: &str) -> Option<u64> {
    u64::try_from(nanos(text)?).ok()
}

/// Bytes.
pub fn bytes(text: &str) -> Option<u64> {
    u64::try_from(nanos(text)? / NANO).ok()
}

/// Cores, as a metrics server writes them.
pub fn cpu_text(nano_cores: u64) -> String {
    format!("{nano_cores}n")
}

/// Bytes, as a metrics server writes them.
pub fn memory_text(bytes: u64) -> String {
    format!("{}Ki", bytes / 1024)
}

/// An amount in billionths.
fn nanos(text: &str) -> Option<u128> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let power = |place: usize| u32::try_from(place).ok();
    let factor = if let Some(place) = BINARY.iter().position(|binary| *binary == suffix) {
        1024_u128.checked_pow(power(place)? + 1)?.checked_mul(NANO)?
    } else {
        1000_u128.checked_pow(power(DECIMAL.iter().position(|decimal| *decimal == suffix)?)?)?
    };
    Some(digits.checked_mul(factor)? / 10_u128.checked_pow(power(fraction.len())?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_however_they_are_written() {
        for (text, cores) in [
            ("12345n", Some(12_345)),
            ("5u", Some(5_000)),
            ("250m", Some(250_000_000)),
            ("1.5", Some(1_500_000_000)),
            ("x", None),
            ("", None),
            ("1x", None),
        ] {
            assert_eq!(nano_cores(text), cores, "{text}");
        }
        for (text, size) in [
            ("2048Ki", Some(2 << 20)),
            ("3", Some(3)),
            ("1k", Some(1000)),
            ("0.5Mi", Some(512 << 10)),
            ("999999999E", None),
        ] {
            assert_eq!(bytes(text), size, "{text}");
        }
        assert_eq!((cpu_text(12), memory_text(4096)), ("12n".to_owned(), "4Ki".to_owned()));
    }
}
