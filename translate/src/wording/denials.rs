//! Denials of the host's admission, without the names of policies, webhooks and quotas.

/// Words around a name: the text before it, the text after it, and the replacement of all three.
struct Denial {
    before: &'static str,
    after: &'static str,
    told: &'static str,
}

const DENIALS: [Denial; 6] = [
    Denial {
        before: "ValidatingAdmissionPolicy '",
        after: "' denied request",
        told: "a policy of the host denied the request",
    },
    Denial {
        before: "MutatingAdmissionPolicy '",
        after: "' denied request",
        told: "a policy of the host denied the request",
    },
    Denial {
        before: "admission webhook \"",
        after: "\" denied the request",
        told: "a policy of the host denied the request",
    },
    Denial { before: "failed calling webhook \"", after: "\"", told: "failed calling a webhook of the host" },
    Denial { before: "exceeded quota: ", after: ",", told: "exceeded a quota of the host," },
    Denial { before: "failed quota: ", after: ": must specify ", told: "a quota of the host: must specify " },
];

/// Returns the text without the names; what a policy says stays.
pub(super) fn anonymous(text: &str) -> String {
    DENIALS.iter().fold(text.to_owned(), |text, denial| denial.replace(&text))
}

impl Denial {
    fn replace(&self, text: &str) -> String {
        let (mut out, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(at) = rest.find(self.before) {
            let named = &rest[at + self.before.len()..];
            let Some(end) = named.find(self.after) else { break };
            out.push_str(&rest[..at]);
            out.push_str(self.told);
            rest = &named[end + self.after.len()..];
        }
        out.push_str(rest);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_policy_stay_and_its_name_goes() {
        for (said, told) in [
            (
                r#"pods "a" is forbidden: ValidatingAdmissionPolicy 'team' with binding 'team-all' denied request: pods need the label team"#,
                r#"pods "a" is forbidden: a policy of the host denied the request: pods need the label team"#,
            ),
            (
                r#"admission webhook "validate.kyverno.svc-fail" denied the request: label team is required"#,
                "a policy of the host denied the request: label team is required",
            ),
            (
                r#"Internal error occurred: failed calling webhook "x.example.com": context deadline exceeded"#,
                "Internal error occurred: failed calling a webhook of the host: context deadline exceeded",
            ),
            (
                "exceeded quota: compute, requested: pods=1, used: pods=4, limited: pods=4",
                "exceeded a quota of the host, requested: pods=1, used: pods=4, limited: pods=4",
            ),
            (
                r#"pods "a" is forbidden: failed quota: compute: must specify limits.cpu for: c; limits.memory for: c"#,
                r#"pods "a" is forbidden: a quota of the host: must specify limits.cpu for: c; limits.memory for: c"#,
            ),
            ("nothing to hide", "nothing to hide"),
            ("exceeded quota: ", "exceeded quota: "),
        ] {
            assert_eq!(anonymous(said), told);
        }
    }
}
