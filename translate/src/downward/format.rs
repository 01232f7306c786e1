use std::fmt::Write;

use serde_json::Value;

/// Formats a map as a kubelet writes it to a downward API file: `key="value"` on each line, sorted by
/// key, the value quoted as Go quotes strings.
pub fn format_map(map: Option<&Value>) -> String {
    let mut entries: Vec<(&str, &str)> = map
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
        .collect();
    entries.sort_unstable();
    let lines: Vec<_> = entries.into_iter().map(|(key, value)| format!("{key}={}", quote(value))).collect();
    lines.join("\n")
}

fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if is_printable(c) => out.push(c),
            c => escape(c, &mut out),
        }
    }
    out.push('"');
    out
}

fn escape(c: char, out: &mut String) {
    let code = u32::from(c);
    // Writing to a string cannot fail.
    let _ = match code {
        0..=0x1f | 0x7f => write!(out, "\\x{code:02x}"),
        0x80..=0xffff => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
}

/// Returns true for the characters that Go's `strconv.Quote` prints as they are: letters, marks, numbers, punctuation,
/// symbols and the space. Rust's debug escapes use the same classes, perhaps of a later Unicode version. A mark is
/// escaped only at the beginning of a text, so another character stands before it. The caller handles the quote.
fn is_printable(c: char) -> bool {
    c == '\'' || c.is_ascii_graphic() || {
        let mut pair = [0; 5];
        pair[0] = b'a';
        let length = 1 + c.encode_utf8(&mut pair[1..]).len();
        str::from_utf8(&pair[..length]).is_ok_and(|pair| pair.escape_debug().count() == 2)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn maps_are_sorted_lines_of_quoted_values() {
        assert_eq!(format_map(None), "");
        assert_eq!(format_map(Some(&json!({}))), "");
        assert_eq!(
            format_map(Some(&json!({"b": "2", "a/c": "", "a": "x y", "a-b": "='"}))),
            "a=\"x y\"\na-b=\"='\"\na/c=\"\"\nb=\"2\""
        );
    }

    #[test]
    fn values_are_quoted_as_go_quotes_them() {
        // The right column is the output of Go's strconv.Quote.
        for (text, quoted) in [
            ("{\"a\": 1}", r#""{\"a\": 1}""#),
            ("a\\b", r#""a\\b""#),
            ("\u{7}\u{8}\u{c}\n\r\t\u{b}", r#""\a\b\f\n\r\t\v""#),
            ("\u{0}\u{1b}\u{7f}", r#""\x00\x1b\x7f""#),
            ("\u{80}\u{a0}\u{ad}", r#""\u0080\u00a0\u00ad""#),
            ("\u{e4}\u{301}\u{4e16}\u{1F600}", "\"\u{e4}\u{301}\u{4e16}\u{1F600}\""),
            ("e\u{301}", "\"e\u{301}\""),
            ("\u{200b}\u{2028}\u{feff}\u{e000}", r#""\u200b\u2028\ufeff\ue000""#),
            ("\u{fffd}", "\"\u{fffd}\""),
            ("\u{e0001}\u{10ffff}", r#""\U000e0001\U0010ffff""#),
            ("\u{3000}", r#""\u3000""#),
        ] {
            assert_eq!(quote(text), quoted);
        }
    }
}
