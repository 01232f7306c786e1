//! Messages of the host, in the names that the tenant knows.
//!
//! API servers and kubelets of the host speak of host objects. What they say reaches the tenant in
//! statuses, events, denied requests and failed streams, always through a [`Wording`].

mod denials;

use std::net::IpAddr;

use crate::Names;

/// Text in place of a word about the host.
const HIDDEN: &str = "the host";
/// Text in place of a ServiceAccount of the host: the syncer is the one that asks.
const ACCOUNT: &str = "the syncer";

/// The names of the host that a message may hold, with those inside that take their place.
#[derive(Clone, Debug)]
pub struct Wording {
    outer: String,
    inner: String,
    names: Vec<(String, String)>,
    /// End of the readable host names of the objects of the virtual namespace.
    suffix: Option<String>,
    hides_addresses: bool,
}

impl Wording {
    /// A wording for objects of the host namespace `outer` that are copies of some in the virtual namespace `inner`.
    pub fn new(outer: impl Into<String>, inner: impl Into<String>) -> Self {
        let (outer, inner) = (outer.into(), inner.into());
        // A bare word may be anything, so the namespace is hidden where the text says that it is one.
        let said =
            ["namespace \"{}\"", "namespaces \"{}\"", "namespace '{}'", "namespace: {}", "namespace {}", "in \"{}\""];
        let told = |said: &str| said.replace(['"', '\''], "").replace("{}", HIDDEN);
        let names = said.map(|said| (said.replace("{}", &outer), told(said))).into();
        Self { outer, inner, names, suffix: None, hides_addresses: false }.sorted()
    }

    /// Adds every object of the virtual namespace whose host name is readable.
    #[must_use]
    pub fn named_by(self, names: &Names) -> Self {
        let suffix = (!self.inner.is_empty()).then(|| format!("-x-{}-x-{}", self.inner, names.cluster));
        Self { suffix, ..self }
    }

    /// Adds an object, in all the spellings of API servers and kubelets.
    #[must_use]
    pub fn object(mut self, outside: &str, inside: &str) -> Self {
        let Self { outer, inner, .. } = &self;
        let mut names = vec![(outside.to_owned(), inside.to_owned())];
        if !inner.is_empty() {
            names.push((format!("{outer}/{outside}"), format!("{inner}/{inside}")));
            names.push((format!("{outside}_{outer}"), format!("{inside}_{inner}")));
            names.push((format!("\"{outer}\"/\"{outside}\""), format!("\"{inner}\"/\"{inside}\"")));
        }
        self.names.extend(names);
        self.sorted()
    }

    /// Adds a UID.
    #[must_use]
    pub fn uid(mut self, outside: &str, inside: &str) -> Self {
        self.names.push((outside.to_owned(), inside.to_owned()));
        self.sorted()
    }

    /// Hides addresses in [`Self::redact`]: the errors of an API server that cannot reach a kubelet contain those of
    /// nodes. Loopback addresses are the pod's own.
    #[must_use]
    pub fn hiding_addresses(self) -> Self {
        Self { hides_addresses: true, ..self }
    }

    /// Returns `text` with the names inside, and without accounts, policies, webhooks and quotas of the host.
    pub fn translate(&self, text: &str) -> String {
        let mut text = denials::anonymous(&without_accounts(text, &format!("system:serviceaccount:{}:", self.outer)));
        for (outside, inside) in &self.names {
            if text.contains(outside.as_str()) {
                text = replace(&text, outside, inside);
            }
        }
        match &self.suffix {
            Some(suffix) => self.without_suffix(&text, suffix),
            None => text,
        }
    }

    /// Replaces readable host names of other objects of the virtual namespace.
    fn without_suffix(&self, text: &str, suffix: &str) -> String {
        let (mut out, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(at) = rest.find(suffix) {
            let (before, after) = (&rest[..at], &rest[at + suffix.len()..]);
            out.push_str(before);
            if after.starts_with(is_of_name) {
                out.push_str(suffix);
            } else {
                // The Secret with the tokens of a pod.
                if let Some(pod) = out.strip_suffix("-x-token") {
                    out = format!("{pod}-token");
                }
                let start = out.rfind(|c: char| !is_of_name(c) && c != '.').map_or(0, |at| at + 1);
                for namespace in [format!("{}/", self.outer), format!("\"{}\"/\"", self.outer)] {
                    if let Some(found) = out[..start].strip_suffix(&namespace) {
                        let told = namespace.replace(&self.outer, &self.inner);
                        out = format!("{found}{told}{}", &out[start..]);
                        break;
                    }
                }
            }
            rest = after;
        }
        out.push_str(rest);
        out
    }

    /// Returns `text` as [`Self::translate`] does, and hides the words about the host that are left:
    /// its namespace, URLs and connections.
    pub fn redact(&self, text: &str) -> String {
        let text = self.translate(text);
        let words = text.split(' ').map(|word| if self.is_of_host(word) { hidden(word) } else { word.to_owned() });
        words.collect::<Vec<_>>().join(" ")
    }

    /// Longer names come first: the name of one object may be a part of another's.
    fn sorted(mut self) -> Self {
        self.names.retain(|(outside, _)| !outside.is_empty());
        self.names.sort_by_key(|(outside, _)| std::cmp::Reverse(outside.len()));
        self
    }

    fn is_of_host(&self, word: &str) -> bool {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        bare == self.outer
            || ["https://", "http://", "->"].iter().any(|part| word.contains(part))
            || (self.hides_addresses && is_address(bare))
    }
}

/// Returns the text with each number as `0`, to compare two messages that count something.
pub fn without_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '0'..='9' if out.ends_with('0') => {}
            '0'..='9' => out.push('0'),
            c => out.push(c),
        }
    }
    out
}

/// Returns true if a word is an address, with or without a port.
fn is_address(word: &str) -> bool {
    let host = word.rsplit_once(':').map_or(word, |(host, _)| host);
    let parse = |text: &str| text.trim_matches(['[', ']']).parse::<IpAddr>();
    parse(host).or_else(|_| parse(word)).is_ok_and(|address| !address.is_loopback())
}

/// Replaces a word, but not the punctuation behind it: the sentence stays one.
fn hidden(word: &str) -> String {
    let end = word.rfind(|c: char| c.is_ascii_alphanumeric() || c == '"').map_or(0, |at| at + 1);
    format!("{HIDDEN}{}", &word[end..])
}

fn without_accounts(text: &str, prefix: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(prefix) {
        out.push_str(&rest[..at]);
        out.push_str(ACCOUNT);
        rest = rest[at + prefix.len()..].trim_start_matches(|c: char| is_of_name(c) || c == '.');
    }
    out.push_str(rest);
    out
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-'
}

/// Replaces whole names only: `web-x-a-x-vc-1` does not occur in `web-x-a-x-vc-10`.
fn replace(text: &str, outside: &str, inside: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(outside) {
        let (before, after) = (&rest[..at], &rest[at + outside.len()..]);
        let begins_inside = if before.is_empty() { out.as_str() } else { before }.ends_with(is_of_name);
        let is_whole = !begins_inside && !after.starts_with(is_of_name);
        out.push_str(before);
        out.push_str(if is_whole { inside } else { outside });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_names_are_replaced() {
        for (text, expected) in [
            ("pod h-x-a failed", "pod web failed"),
            ("h-x-a", "web"),
            ("h-x-ab h-x-a-1 oh-x-a", "h-x-ab h-x-a-1 oh-x-a"),
            ("\"h-x-a\", h-x-a.", "\"web\", web."),
            ("h-x-ah-x-a", "h-x-ah-x-a"),
        ] {
            assert_eq!(replace(text, "h-x-a", "web"), expected);
        }
    }

    #[test]
    fn messages_of_the_host_are_told_in_the_names_of_the_tenant() {
        let wording = Wording::new("team-a", "shop")
            .uid("host-uid", "virtual-uid")
            .object("web-x-shop-x-vc-1", "web")
            .object("web-x-shop-x-vc-1-tokens", "tokens")
            .hiding_addresses();
        for (said, told) in [
            (
                r#"container "main" in pod "web-x-shop-x-vc-1" is waiting to start: ContainerCreating"#,
                r#"container "main" in pod "web" is waiting to start: ContainerCreating"#,
            ),
            ("web-x-shop-x-vc-1_team-a(host-uid)", "web_shop(virtual-uid)"),
            (
                "object \"team-a\"/\"web-x-shop-x-vc-1-tokens\" not registered",
                "object \"shop\"/\"tokens\" not registered",
            ),
            (
                r#"Get "https://192.0.2.7:10250/containerLogs/team-a/web-x-shop-x-vc-1/main": dial tcp 192.0.2.7:10250: connect: connection refused"#,
                "Get the host: dial tcp the host: connect: connection refused",
            ),
            ("read tcp 10.0.0.1:4->10.0.0.2:5: i/o timeout", "read tcp the host: i/o timeout"),
            ("dial tcp [2001:db8::7]:10250: refused", "dial tcp the host: refused"),
            ("no such namespace team-a", "no such namespace the host"),
            (
                r#"User "system:serviceaccount:team-a:vc-1.syncer" cannot create pods in "team-a""#,
                r#"User "the syncer" cannot create pods in the host"#,
            ),
            ("dial tcp 127.0.0.1:80: connection refused", "dial tcp 127.0.0.1:80: connection refused"),
        ] {
            assert_eq!(wording.redact(said), told);
        }
    }

    #[test]
    fn every_readable_name_of_the_namespace_is_told_as_the_tenant_knows_it() {
        let names = Names::new("vc-1", "team-a", crate::NameScheme::Tenet);
        let wording = Wording::new("team-a", "shop").named_by(&names);
        for (said, told) in [
            (r#"configmap "settings-x-shop-x-vc-1" not found"#, r#"configmap "settings" not found"#),
            (
                r#"object "team-a"/"settings-x-shop-x-vc-1" not registered"#,
                r#"object "shop"/"settings" not registered"#,
            ),
            ("team-a/web.v1-x-shop-x-vc-1: no", "shop/web.v1: no"),
            (r#"secret "web-x-token-x-shop-x-vc-1" not found"#, r#"secret "web-token" not found"#),
            ("a-x-shop-x-vc-10 b-x-other-x-vc-1", "a-x-shop-x-vc-10 b-x-other-x-vc-1"),
            (r#"pods "a-x-shop-x-vc-1" in namespace "team-a""#, r#"pods "a" in namespace the host"#),
            ("the default of team-a", "the default of team-a"),
        ] {
            assert_eq!(wording.translate(said), told);
        }
    }

    #[test]
    fn addresses_of_the_tenant_stay() {
        let wording = Wording::new("team-a", "shop").object("web-x-shop-x-vc-1", "web");
        assert_eq!(wording.redact("web-x-shop-x-vc-1: 10.0.0.1 is invalid"), "web: 10.0.0.1 is invalid");
        assert_eq!(wording.translate("in team-a: https://example.com"), "in team-a: https://example.com");
    }
}
