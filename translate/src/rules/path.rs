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

/// Cuts `spec.containers[].limits{}` into its steps.
///
/// Returns `None` when a step is empty.
pub(crate) fn parse(path: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let name = part.trim_end_matches(['[', ']', '{', '}']);
        if name.is_empty() {
            return None;
        }
        steps.push(Step::Field(name.to_owned()));
        let mut rest = &part[name.len()..];
        while !rest.is_empty() {
            let (step, left) = rest
                .strip_prefix("[]")
                .map(|left| (Step::Each, left))
                .or_else(|| rest.strip_prefix("{}").map(|left| (Step::Any, left)))?;
            steps.push(step);
            rest = left;
        }
    }
    Some(steps)
}

/// Where a walk stands: the pattern (`spec.containers[].image`) that rules are looked up
/// by, and the concrete place (`spec.containers[2].image`) that messages show.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    pattern: String,
    shown: String,
}

impl Place {
    /// The place of a member.
    pub(crate) fn field(&self, name: &str) -> Self {
        let join = |base: &str| if base.is_empty() { name.to_owned() } else { format!("{base}.{name}") };
        Self { pattern: join(&self.pattern), shown: join(&self.shown) }
    }

    /// The place of a list element.
    pub(crate) fn element(&self, index: usize) -> Self {
        Self { pattern: format!("{}[]", self.pattern), shown: format!("{}[{index}]", self.shown) }
    }

    /// The place of a map value.
    pub(crate) fn value(&self, key: &str) -> Self {
        Self { pattern: format!("{}{{}}", self.pattern), shown: format!("{}[{key}]", self.shown) }
    }

    /// The pattern, as rules spell it.
    pub(crate) fn pattern(&self) -> &str {
        &self.pattern
    }
}

impl fmt::Display for Place {
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
        assert_eq!(
            parse("spec.containers[].limits{}"),
            Some(vec![field("spec"), field("containers"), Step::Each, field("limits"), Step::Any])
        );
        assert_eq!(parse("spec..x"), None);
        assert_eq!(parse("spec.x[}"), None);
    }
}
