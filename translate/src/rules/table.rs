use serde_json::Value;
use thiserror::Error;

use super::path::{Step, parse, plain};
use super::{Action, Rule};
use crate::GroupKind;
use crate::pointer::escape;

/// The rules of one kind, as a tree.
#[derive(Clone, Debug, Default)]
pub struct Table {
    root: Node,
    /// Pointers of the fields that come up, sorted.
    pub(super) shown: Vec<String>,
}

/// A node of the tree: what is known about one field pattern.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    pub(crate) rule: Option<Box<Leaf>>,
    /// The named members, sorted. A table is read for as long as the process runs, so it has no spare room.
    pub(crate) fields: Vec<(String, Node)>,
    any: Option<Box<Node>>,
    each: Option<Box<Node>>,
    /// The members that identify an element of a list; without any, its position does.
    pub(crate) keys: Vec<String>,
    /// True if a rule here or below says that changes follow.
    pub(crate) follows: bool,
    /// True if a rule here or below says that they do not.
    pub(crate) rests: bool,
    /// True if a rule here or below names another object.
    pub(crate) refers: bool,
}

/// A rule at its full path.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub(crate) path: String,
    pub(crate) rule: Rule,
    pub(crate) unless: Vec<Value>,
}

/// Coverage of a field path by a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// A rule decides it.
    Ruled,
    /// Rules decide every field that can be below it.
    Parent,
    /// No rule: an object that carries it is refused as unknown.
    Missing,
}

/// A table that contradicts itself.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TableError {
    /// The path has an empty or broken step.
    #[error("`{0}` is not a field path")]
    Path(String),
    /// Two rules have one path.
    #[error("`{0}` has two rules")]
    Twice(String),
    /// A rule is below one that already covers everything.
    #[error("`{0}` is below a rule that covers it")]
    Covered(String),
    /// Two rules name different members as the key of a list.
    #[error("`{0}` has another key than the rules before it")]
    Keys(String),
    /// An `up` below a list or a map, where the table cannot tell which element is whose.
    #[error("`{0}` comes up from within a list or a map: the mapper has to compute it")]
    Computed(String),
    /// The text of an `unless` value is no JSON.
    #[error("`{0}`: `{1}` is not JSON")]
    Unless(String, String),
}

impl Table {
    /// Builds the tree from parts: a prefix (empty, or a path) and the rules below it.
    pub fn new(parts: &[(&str, &[Rule])]) -> Result<Self, TableError> {
        let mut table = Self::default();
        for (prefix, rules) in parts {
            for rule in *rules {
                table.insert(prefix, *rule)?;
            }
        }
        table.shown.sort_unstable();
        table.root.compact();
        Ok(table)
    }

    /// Every rule with its full path, sorted by path.
    pub fn rules(&self) -> Vec<(&str, &Rule)> {
        let mut found = Vec::new();
        self.root.collect(&mut found);
        found.sort_by_key(|(path, _)| *path);
        found
    }

    /// Returns the first path that follows changes and that `is_sought` accepts.
    pub fn find_followed(&self, is_sought: impl Fn(&str) -> bool) -> Option<&str> {
        self.root.find_followed(&is_sought)
    }

    /// Returns true if a rule names objects of this kind.
    pub fn refers_to(&self, kind: GroupKind) -> bool {
        self.root.refers_to(kind)
    }

    /// Returns the coverage of `path`, in the notation of rules.
    pub fn coverage(&self, path: &str) -> Coverage {
        let Some(parsed) = parse(path) else { return Coverage::Missing };
        let mut node = &self.root;
        for step in &parsed.steps {
            match node.child(step) {
                Some(child) => node = child,
                None => return Coverage::Missing,
            }
            if node.rule.as_deref().is_some_and(Leaf::covers) {
                return Coverage::Ruled;
            }
        }
        match (&node.rule, node.is_leaf()) {
            (Some(_), _) => Coverage::Ruled,
            (None, false) => Coverage::Parent,
            (None, true) => Coverage::Missing,
        }
    }

    pub(crate) fn root(&self) -> &Node {
        &self.root
    }

    fn insert(&mut self, prefix: &str, rule: Rule) -> Result<(), TableError> {
        let path = if prefix.is_empty() { rule.path.to_owned() } else { format!("{prefix}.{}", rule.path) };
        let parsed = parse(&path).ok_or_else(|| TableError::Path(path.clone()))?;
        let path = plain(&parsed.steps);
        if rule.action == Action::Up && !rule.computed && parsed.steps.iter().any(|step| step.name().is_none()) {
            return Err(TableError::Computed(path));
        }
        let mut keys = parsed.keys.into_iter().peekable();
        let mut node = &mut self.root;
        for (index, step) in parsed.steps.into_iter().enumerate() {
            if node.rule.as_deref().is_some_and(Leaf::covers) {
                return Err(TableError::Covered(path));
            }
            if let Some((_, keys)) = keys.next_if(|(at, _)| *at == index) {
                if !node.keys.is_empty() && node.keys != keys {
                    return Err(TableError::Keys(path));
                }
                node.keys = keys;
            }
            node.note(&rule);
            node = node.enter(step);
        }
        node.note(&rule);
        if let Action::Reference(kind) = rule.action {
            kind.register();
        }
        if node.rule.is_some() {
            return Err(TableError::Twice(path));
        }
        if rule.action == Action::Up && !rule.computed {
            self.shown.push(path.split('.').flat_map(|name| ["/".to_owned(), escape(name)]).collect());
        }
        let unless = rule
            .unless
            .iter()
            .map(|text| serde_json::from_str(text).map_err(|_| TableError::Unless(path.clone(), (*text).to_owned())))
            .collect::<Result<_, _>>()?;
        let leaf = Leaf { path: path.clone(), rule, unless };
        if leaf.covers() && !node.is_leaf() {
            return Err(TableError::Covered(path));
        }
        node.rule = Some(Box::new(leaf));
        Ok(())
    }
}

impl Node {
    fn collect<'t>(&'t self, found: &mut Vec<(&'t str, &'t Rule)>) {
        if let Some(leaf) = &self.rule {
            found.push((&leaf.path, &leaf.rule));
        }
        for child in self.children() {
            child.collect(found);
        }
    }

    fn find_followed(&self, is_sought: &impl Fn(&str) -> bool) -> Option<&str> {
        let own = self.rule.as_ref().filter(|leaf| leaf.rule.kept && is_sought(&leaf.path));
        own.map(|leaf| leaf.path.as_str())
            .or_else(|| self.children().filter(|child| child.follows).find_map(|child| child.find_followed(is_sought)))
    }

    fn refers_to(&self, kind: GroupKind) -> bool {
        let names = |leaf: &Leaf| matches!(leaf.rule.action, Action::Reference(named) if named == kind);
        let is_here = || self.rule.as_deref().is_some_and(names);
        self.refers && (is_here() || self.children().any(|child| child.refers_to(kind)))
    }

    fn note(&mut self, rule: &Rule) {
        self.follows |= rule.kept;
        self.rests |= !rule.kept;
        self.refers |= matches!(rule.action, Action::Reference(_));
    }

    /// Returns true if a value is one to the rules: nothing below it has a rule of its own.
    pub(crate) fn is_value(&self, value: &Value) -> bool {
        self.is_leaf()
            || self
                .rule
                .as_ref()
                .is_some_and(|leaf| leaf.covers() || !matches!(value, Value::Object(_) | Value::Array(_)))
    }

    /// Returns true if the rule of this very path says that changes follow.
    pub(crate) fn is_kept(&self) -> bool {
        self.rule.as_ref().is_some_and(|leaf| leaf.rule.kept)
    }

    /// The node of a member, whether members are named here or may have any name.
    pub(crate) fn member(&self, name: &str) -> Option<&Node> {
        self.any().or_else(|| self.field(name))
    }

    /// The node of a member, if members are named here.
    pub(crate) fn field(&self, name: &str) -> Option<&Node> {
        let index = self.fields.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok()?;
        self.fields.get(index).map(|(_, node)| node)
    }

    /// The node of the values of a map.
    pub(crate) fn any(&self) -> Option<&Node> {
        self.any.as_deref()
    }

    /// The node of the elements of a list.
    pub(crate) fn each(&self) -> Option<&Node> {
        self.each.as_deref()
    }

    fn child(&self, step: &Step) -> Option<&Node> {
        match step {
            Step::Field(name) => self.field(name),
            Step::Any => self.any(),
            Step::Each => self.each(),
        }
    }

    /// The node behind a step, which is added when it is not there.
    fn enter(&mut self, step: Step) -> &mut Node {
        match step {
            Step::Field(name) => {
                let index = self.fields.binary_search_by(|(known, _)| known.cmp(&name)).unwrap_or_else(|index| {
                    self.fields.insert(index, (name, Self::default()));
                    index
                });
                &mut self.fields[index].1
            }
            Step::Any => self.any.get_or_insert_default(),
            Step::Each => self.each.get_or_insert_default(),
        }
    }

    fn children(&self) -> impl Iterator<Item = &Node> {
        self.fields.iter().map(|(_, node)| node).chain(self.each()).chain(self.any())
    }

    /// Frees the spare room of the lists.
    fn compact(&mut self) {
        self.fields.shrink_to_fit();
        let below = [&mut self.each, &mut self.any].into_iter().flatten().map(AsMut::as_mut);
        self.fields.iter_mut().map(|(_, node)| node).chain(below).for_each(Self::compact);
    }

    fn is_leaf(&self) -> bool {
        self.children().next().is_none()
    }
}

impl Leaf {
    /// Returns true if the rule decides everything below its path.
    pub(crate) fn covers(&self) -> bool {
        match self.rule.action {
            Action::Copy => self.rule.whole,
            Action::Reference(_) => false,
            Action::Set | Action::Selector(_) | Action::Up | Action::Omit | Action::Refuse => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{copy, omit, refuse, up};
    use super::*;

    #[test]
    fn a_table_finds_the_paths_that_follow() {
        let table = Table::new(&[
            ("", &[copy("spec.once"), copy("spec.image").kept()]),
            ("spec.items[]", &[copy("port").kept()]),
        ])
        .unwrap();
        assert_eq!(table.find_followed(|_| true), Some("spec.image"));
        assert_eq!(table.find_followed(|path| path.contains("[]")), Some("spec.items[].port"));
        assert_eq!(table.find_followed(|path| path == "spec.once"), None, "it does not follow");
    }

    #[test]
    fn a_table_says_what_it_covers() {
        let table = Table::new(&[
            ("", &[copy("spec.name"), omit("spec.gone", "")]),
            ("spec.items[]", &[copy("image"), refuse("host", "")]),
        ])
        .unwrap();
        for (path, want) in [
            ("spec", Coverage::Parent),
            ("spec.name", Coverage::Ruled),
            ("spec.gone.deep[].er", Coverage::Ruled),
            ("spec.items[]", Coverage::Parent),
            ("spec.items[].host.port", Coverage::Ruled),
            ("spec.items[].new", Coverage::Missing),
            ("status", Coverage::Missing),
        ] {
            assert_eq!(table.coverage(path), want, "{path}");
        }
    }

    #[test]
    fn a_table_that_contradicts_itself_is_an_error() {
        let twice = Table::new(&[("", &[copy("a.b"), omit("a.b", "")])]);
        assert_eq!(twice.unwrap_err(), TableError::Twice("a.b".into()));
        let below = Table::new(&[("", &[omit("a", ""), copy("a.b")])]);
        assert_eq!(below.unwrap_err(), TableError::Covered("a.b".into()));
        let above = Table::new(&[("", &[copy("a.b"), omit("a", "")])]);
        assert_eq!(above.unwrap_err(), TableError::Covered("a".into()));
        let keys = Table::new(&[("", &[copy("a[].b"), copy("a[b].c"), copy("a[c].d")])]);
        assert_eq!(keys.unwrap_err(), TableError::Keys("a[].d".into()));
        let within = Table::new(&[("", &[up("a[].b").computed(), up("a[].c")])]);
        assert_eq!(within.unwrap_err(), TableError::Computed("a[].c".into()));
    }
}
