use std::fmt::Write;

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
            Step::Field(name) => join(&mut shown, name),
            Step::Each => shown.push_str("[]"),
            Step::Any => shown.push_str("{}"),
        }
    }
    shown
}

/// Position of a walk: a step below the position of the parent. Its texts are built when they are asked for, since a
/// walk passes many positions and asks about few.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Location<'l> {
    parent: Option<&'l Location<'l>>,
    at: At<'l>,
}

#[derive(Clone, Copy, Debug)]
enum At<'l> {
    Root,
    Field(&'l str),
    Element(usize),
    Value(&'l str),
}

impl<'l> Location<'l> {
    /// The position of the object itself.
    pub(crate) const ROOT: Self = Self { parent: None, at: At::Root };

    /// The location of a member.
    pub(crate) fn field(&'l self, name: &'l str) -> Self {
        Self { parent: Some(self), at: At::Field(name) }
    }

    /// The location of a list element.
    pub(crate) fn element(&'l self, index: usize) -> Self {
        Self { parent: Some(self), at: At::Element(index) }
    }

    /// The location of a map value.
    pub(crate) fn value(&'l self, key: &'l str) -> Self {
        Self { parent: Some(self), at: At::Value(key) }
    }

    /// Returns the pattern that rules are looked up by: `spec.containers[].image`.
    pub(crate) fn pattern(&self) -> String {
        let mut pattern = self.parent.map(Self::pattern).unwrap_or_default();
        match self.at {
            At::Root => {}
            At::Field(name) => join(&mut pattern, name),
            At::Element(_) => pattern.push_str("[]"),
            At::Value(_) => pattern.push_str("{}"),
        }
        pattern
    }

    /// Returns the location as messages show it: `spec.containers[2].image`.
    pub(crate) fn shown(&self) -> String {
        let mut shown = self.parent.map(Self::shown).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = match self.at {
            At::Root => Ok(()),
            At::Field(name) => {
                join(&mut shown, name);
                Ok(())
            }
            At::Element(index) => write!(shown, "[{index}]"),
            At::Value(key) => write!(shown, "[{key}]"),
        };
        shown
    }
}

/// Adds the name of a member to a path.
fn join(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
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

    #[test]
    fn a_location_has_a_pattern_and_a_place() {
        let spec = Location::ROOT.field("spec");
        let (containers, limits) = (spec.field("containers"), spec.field("limits"));
        let (element, value) = (containers.element(2), limits.value("cpu"));
        let image = element.field("image");
        assert_eq!(
            (image.pattern(), image.shown()),
            ("spec.containers[].image".into(), "spec.containers[2].image".into())
        );
        assert_eq!((value.pattern(), value.shown()), ("spec.limits{}".into(), "spec.limits[cpu]".into()));
        assert_eq!(Location::ROOT.pattern(), "");
    }
}
