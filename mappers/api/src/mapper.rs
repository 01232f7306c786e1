use crate::{Admission, Context, MapError, MapperSpec, Outcome, VirtualKey};

/// The code of one resource kind.
///
/// The engine calls [`Mapper::reconcile`] whenever something that the mapper reads has
/// changed, never twice at once for one key. It may be called for a key of which nothing
/// exists on either side. A panic quarantines the key, not the mapper.
///
/// ```
/// use tenet_mapper::{Context, MapError, Mapper, MapperSpec, Outcome, VirtualKey, kinds};
///
/// /// Does nothing about Pods.
/// struct Idle(MapperSpec);
///
/// impl Mapper for Idle {
///     fn spec(&self) -> &MapperSpec { &self.0 }
///     fn reconcile(&self, _: &Context<'_>, _: &VirtualKey) -> Result<Outcome, MapError> { Ok(Outcome::done()) }
/// }
/// assert_eq!(Idle(MapperSpec::new("idle", kinds::POD)).spec().kind, kinds::POD);
/// ```
pub trait Mapper: Send + Sync + 'static {
    /// The kind, its table, and what the mapper reads.
    fn spec(&self) -> &MapperSpec;

    /// Compares the two clusters and says what should be written. It is a pure function of
    /// the context: no clock but [`Context::now`], no randomness, no memory, no I/O. Content
    /// that is not cached is asked for with [`Context::content`].
    fn reconcile(&self, cx: &Context<'_>, key: &VirtualKey) -> Result<Outcome, MapError>;

    /// The part that is asked before the virtual API server stores an object, if any.
    fn admission(&self) -> Option<&dyn Admission> {
        None
    }
}
