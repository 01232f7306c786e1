use std::collections::BTreeMap;

/// Replaces `$(NAME)` for the names in `values` and keeps everything else, including `$$` and other
/// references, which the host's kubelet resolves. The values must not contain `$`.
pub fn references(text: &str, values: &BTreeMap<&str, &str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        let reference = tail.strip_prefix("$(").and_then(|inner| inner.split_once(')'));
        let read = match reference {
            Some((name, after)) => {
                if let Some(value) = values.get(name) {
                    out.push_str(value);
                    rest = after;
                    continue;
                }
                tail.len() - after.len()
            }
            // `$$` is an escaped `$`, and any other character after a `$` stands for itself.
            None => 1 + tail[1..].chars().next().map_or(0, char::len_utf8),
        };
        out.push_str(&tail[..read]);
        rest = &tail[read..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_references_to_the_given_names_are_replaced() {
        let values = BTreeMap::from([("A", "1"), ("B", "2")]);
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("$(A)", "1"),
            ("$(A)$(B)$(C)", "12$(C)"),
            ("$$(A)", "$$(A)"),
            ("$$$(A)", "$$1"),
            ("$x$(A)", "$x1"),
            ("$(A", "$(A"),
            ("$", "$"),
            ("$$", "$$"),
            ("a$", "a$"),
            ("$($(A)", "$($(A)"),
            ("$(C)$(A)", "$(C)1"),
            ("$()$(A)", "$()1"),
            ("\u{e4}$\u{e4}$(A)", "\u{e4}$\u{e4}1"),
            ("$(a)", "$(a)"),
        ] {
            assert_eq!(references(text, &values), expected, "{text:?}");
        }
    }
}
