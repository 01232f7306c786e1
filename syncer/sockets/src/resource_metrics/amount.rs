//! Amounts as metrics carry them: `12345n` cores, `2048Ki` bytes.

use tenet_mapper::translate::Quantity;

/// Parses an amount of CPU to billionths of a core.
pub fn nano_cores(text: &str) -> Option<u64> {
    u64::try_from(text.parse::<Quantity>().ok()?.nanos()).ok()
}

/// Parses an amount of memory to bytes.
pub fn bytes(text: &str) -> Option<u64> {
    u64::try_from(text.parse::<Quantity>().ok()?.units()).ok()
}

/// Formats billionths of a core as a metrics server does.
pub fn cpu_text(nano_cores: u64) -> String {
    format!("{nano_cores}n")
}

/// Formats bytes as a metrics server does.
pub fn memory_text(bytes: u64) -> String {
    format!("{}Ki", bytes / 1024)
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
