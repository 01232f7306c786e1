//! Inputs of a mapper: the kinds that it reads, and the keys that a change of them affects.

use super::MapperSpec;
use crate::{Facts, Kind, Object, Projection, Side, VirtualKey};

/// One kind of objects that a mapper reads.
///
/// A change that the projection of the input does not show wakes no key of it: a mapper that reads
/// `spec.nodeName` of pods is not asked again when their status changes, and a new resource
/// version alone wakes no mapper. So a projection names all that the mapper reads, no more and no less.
///
/// ```
/// use tenet_mapper::{Input, KeysOf, Projection, Side, kinds};
///
/// let nodes = Input::new(Side::Host, kinds::NODE, Projection::Metadata, KeysOf::None).foreign().optional();
/// assert!(nodes.foreign && nodes.optional);
/// ```
#[derive(Clone, Debug)]
pub struct Input {
    /// The cluster that it is read from. On the host only our own objects are seen.
    pub side: Side,
    /// The kind.
    pub kind: Kind,
    /// Projection that is kept of each object.
    pub projection: Projection,
    /// Keys of the mapper that a change affects.
    pub keys: KeysOf,
    /// True if the mapper works without it: when the right to read it is missing.
    pub optional: bool,
    /// True if host objects that are not ours are read, too.
    pub foreign: bool,
    /// A label selector that narrows the stream. Readers of one kind that differ in it share a stream of all objects.
    pub selector: Option<&'static str>,
}

impl Input {
    /// An input that the mapper cannot do without.
    pub fn new(side: Side, kind: Kind, projection: Projection, keys: KeysOf) -> Self {
        Self { side, kind, projection, keys, optional: false, foreign: false, selector: None }
    }

    /// The mapper works without it, and asks [`crate::View::can_read`].
    #[must_use]
    pub fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    /// Host objects that are not ours are read, too: nodes, for one.
    ///
    /// A kind has one stream and one cache on each side, with the widest selector and projection that its readers
    /// ask for. Of foreign objects, which do not carry the label of the virtual cluster, only the projections of inputs
    /// like this one are kept.
    #[must_use]
    pub fn foreign(self) -> Self {
        Self { foreign: true, ..self }
    }

    /// Narrows the stream to the objects that a label selector matches. What it does not match is not seen at all, so
    /// a mapper must not need it.
    ///
    /// ```
    /// use tenet_mapper::{Input, KeysOf, Projection, Side, kinds};
    ///
    /// let events = Input::new(Side::Virtual, kinds::EVENT, Projection::Whole, KeysOf::None);
    /// assert_eq!(events.selected("tenet.sh/managed-by").selector, Some("tenet.sh/managed-by"));
    /// ```
    #[must_use]
    pub fn selected(self, selector: &'static str) -> Self {
        Self { selector: Some(selector), ..self }
    }
}

/// Keys of a mapper that a change of an input affects.
///
/// ```
/// use tenet_mapper::{KeysOf, Object, VirtualKey};
///
/// fn same_name(class: &Object) -> Vec<VirtualKey> {
///     vec![VirtualKey::new("", class.name())]
/// }
/// let _keys = KeysOf::With(same_name);
/// ```
#[derive(Clone, Copy, Debug)]
pub enum KeysOf {
    /// None: the mapper only looks it up.
    None,
    /// The key of the object itself: an input of the virtual side.
    Own,
    /// The key in its owner record, when that names the kind of the mapper.
    Owner,
    /// Keys that the function returns, from the fields of the projection alone; the inverse is
    /// [`crate::Context::sources`].
    With(fn(&Object) -> Vec<VirtualKey>),
    /// Keys that the function returns from the configuration and the fields of the projection.
    Configured(fn(&Facts, &Object) -> Vec<VirtualKey>),
}

/// An input of a mapper that was bound with [`MapperSpec::bind`].
///
/// ```
/// use tenet_mapper::{Bound, Context, VirtualKey};
///
/// fn count(cx: &Context<'_>, pods: Bound, key: &VirtualKey) -> usize {
///     cx.sources(pods, key).len()
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bound {
    /// The cluster that it is read from.
    pub side: Side,
    /// The kind.
    pub kind: Kind,
    /// Its position among the inputs of the mapper.
    pub position: usize,
}

impl MapperSpec {
    /// Adds something that it reads.
    ///
    /// ```
    /// use tenet_mapper::{Input, KeysOf, MapperSpec, Projection, Side, kinds};
    ///
    /// let nodes = Input::new(Side::Host, kinds::NODE, Projection::Metadata, KeysOf::None).foreign();
    /// assert_eq!(MapperSpec::new("pod", kinds::POD).reads(nodes).inputs.len(), 1);
    /// ```
    #[must_use]
    pub fn reads(mut self, input: Input) -> Self {
        self.inputs.push(input);
        self
    }

    /// Adds something that it reads, and returns the handle with which a context shows the
    /// objects that touch a key.
    ///
    /// ```
    /// use tenet_mapper::{Input, KeysOf, MapperSpec, Object, Projection, Side, VirtualKey, kinds};
    ///
    /// fn by_node(pod: &Object) -> Vec<VirtualKey> {
    ///     pod.str_at("/spec/nodeName").map(|node| VirtualKey::new("", node)).into_iter().collect()
    /// }
    /// let mut spec = MapperSpec::new("node", kinds::NODE);
    /// let pods = spec.bind(Input::new(Side::Host, kinds::POD, Projection::Whole, KeysOf::With(by_node)));
    /// assert_eq!(pods.kind, kinds::POD); // `cx.sources(pods, key)` shows the pods of a node
    /// ```
    pub fn bind(&mut self, input: Input) -> Bound {
        let bound = Bound { side: input.side, kind: input.kind, position: self.inputs.len() };
        self.inputs.push(input);
        bound
    }

    /// The projection of its own kind on one side.
    ///
    /// ```
    /// use tenet_mapper::rules::Table;
    /// use tenet_mapper::{MapperSpec, Projection, Side, kinds};
    ///
    /// let spec = MapperSpec::both_sides("secret", kinds::SECRET, Table::default());
    /// let spec = spec.project(Side::Virtual, &Projection::Metadata); // the content is read when it is needed
    /// assert_eq!(spec.inputs[0].projection, Projection::Metadata);
    /// ```
    #[must_use]
    pub fn project(mut self, side: Side, projection: &Projection) -> Self {
        for input in &mut self.inputs {
            if input.side == side && input.kind == self.kind {
                input.projection = *projection;
            }
        }
        self
    }
}
