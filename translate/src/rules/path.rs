use std::fmt;

/// One step of a field path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// Into the member of this name.
    Field(String),
    /// Into every element of a list: `[]`.
    Each,
    /// Into every value of a map: `{}`.
    Any,
}

impl Step {
    /// The name of the member that the step leads into.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Field(name) => Some(name),
            Self::Each | Self::Any => None,
        }
    }
}

/// Path of a rule, cut into its steps.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// The steps.
    pub(crate) steps: Vec<Step>,
    /// For each step into a list that names the members which identify an element: its index and those members.
    pub(crate) keys: Vec<(usize, Vec<String>)>,
}

/// Cuts `spec.containers[name].limits{}` into its steps.
///
/// Returns `None` when a step is empty.
pub(crate) fn parse(path: &str) -> Option<Parsed> {
    let mut parsed = Parsed::default();
    for part in path.split('.') {
        let name = part.split(['[', ']', '{', '}']).next().filter(|name| !name.is_empty())?;
        parsed.steps.push(Step::Field(name.to_owned()));
        let mut rest = &part[name.len()..];
        while !rest.is_empty() {
            if let Some(left) = rest.strip_prefix("{}") {
                parsed.steps.push(Step::Any);
                rest = left;
                continue;
            }
            let (keys, left) = rest.strip_prefix('[')?.split_once(']')?;
            if !keys.is_empty() {
                let keys: Vec<_> = keys.split(',').map(str::to_owned).collect();
                let is_name = |key: &String| !key.is_empty() && !key.contains(['[', '{', '}']);
                if !keys.iter().all(is_name) {
                    return None;
                }
                parsed.keys.push((parsed.steps.len(), keys));
            }
            parsed.steps.push(Step::Each);
            rest = left;
        }
    }
    Some(parsed)
}

/// A path as messages and pages show it: without the keys of lists.
pub(crate) fn plain(steps: &[Step]) -> String {
    let mut shown = String::new();
    for step in steps {
        match step {
            Step::Field(name) if shown.is_empty() => shown.push_str(name),
            Step::Field(name) => {
                shown.push('.');
                shown.push_str(name);
            }
            Step::Each => shown.push_str("[]"),
            Step::Any => shown.push_str("{}"),
        }
    }
    shown
}

/// Position of a walk: the pattern (`spec.containers[].image`) that rules are looked up
/// by, and the concrete location (`spec.containers[2].image`) that messages show.
#[derive(Clone, Debug, Default)]
pub(crate) struct Location {
    pattern: String,
    shown: String,
}

impl Location {
    /// The location of a member.
    pub(crate) fn field(&self, name: &str) -> Self {
        let join = |base: &str| if base.is_empty() { name.to_owned() } else { format!("{base}.{name}") };
        Self { pattern: join(&self.pattern), shown: join(&self.shown) }
    }

    /// The location of a list element.
    pub(crate) fn element(&self, index: usize) -> Self {
        Self { pattern: format!("{}[]", self.pattern), shown: format!("{}[{index}]", self.shown) }
    }

    /// The location of a map value.
    pub(crate) fn value(&self, key: &str) -> Self {
        Self { pattern: format!("{}{{}}", self.pattern), shown: format!("{}[{key}]", self.shown) }
    }

    /// The pattern, as rules spell it.
    pub(crate) fn pattern(&self) -> &str {
        &self.pattern
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_cut_into_its_steps() {
        let field = |name: &str| Step::Field(name.to_owned());
        let steps = vec![field("spec"), field("containers"), Step::Each, field("limits"), Step::Any];
        assert_eq!(plain(&steps), "spec.containers[].limits{}");
        assert_eq!(parse("spec.containers[].limits{}"), Some(Parsed { steps, keys: vec![] }));
        let ports = parse("ports[port,protocol]").unwrap();
        assert_eq!(ports.keys, [(1, vec!["port".to_owned(), "protocol".to_owned()])]);
        for broken in ["spec..x", "spec.x[}", "spec.x[a,]", "spec.x[a[]]", "spec.x]", "[]"] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }
}
