//! The result of a reconcile: stages of effects, what wakes the key, and when it is due again.

use std::collections::BTreeSet;
use std::time::Duration;

use tenet_translate::rules::Refusal;

use crate::{Dependency, Effect, VirtualKey};

/// An effect, and how its failure is taken.
///
/// ```
/// use tenet_mapper::{Deletion, Effect, Object, Step, kinds};
/// use serde_json::json;
///
/// let copy = Object::new(json!({"metadata": {"name": "a", "namespace": "team-a", "uid": "u"}}));
/// let step = Step::from(Effect::Delete(Deletion::redundant(kinds::SECRET, &copy)));
/// assert!(!step.best_effort);
/// ```
#[derive(Clone, Debug)]
pub struct Step {
    /// The write.
    pub effect: Effect,
    /// True if the stages behind it go on when the API rejects it for good. Any other failure
    /// of it ends the reconcile, and is tried again, like that of a required effect.
    pub best_effort: bool,
}

impl From<Effect> for Step {
    /// Events are best effort, all other effects are required.
    fn from(effect: Effect) -> Self {
        let best_effort = matches!(effect, Effect::Emit(_));
        Self { effect, best_effort }
    }
}

/// Steps that do not depend on each other: the engine performs them at the same time.
///
/// ```
/// use tenet_mapper::{Effect, Outcome};
///
/// fn all_at_once(effects: Vec<Effect>) -> Outcome {
///     Outcome::done().then_together(effects) // one stage
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Stage(pub Vec<Step>);

/// Time at which a key is due again although nothing changes.
///
/// ```
/// use tenet_mapper::{Next, Outcome};
///
/// let outcome = Outcome::done().next(Next::At(1_800_000_000));
/// assert_eq!(outcome.next, Next::At(1_800_000_000));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Next {
    /// Not before something changes.
    #[default]
    Done,
    /// At this instant, in unix seconds.
    At(i64),
    /// After this delay.
    After(Duration),
}

/// The result of a reconcile.
///
/// ```
/// use tenet_mapper::{Dependency, HostKey, Outcome, kinds};
///
/// let key = HostKey::new("team-a", "nginx-x-default-x-vc-1");
/// let outcome = Outcome::done().wait_for(Dependency::host(kinds::POD, &key));
/// assert!(outcome.stages.is_empty() && outcome.wait.len() == 1);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The stages, in order. A failure in one ends the reconcile after that stage.
    pub stages: Vec<Stage>,
    /// Time at which the key is due again.
    pub next: Next,
    /// Changes that wake the key.
    pub wait: BTreeSet<Dependency>,
    /// Sentences about the wait, which the tenant is told when it lasts.
    pub lasting: Vec<String>,
    /// Reasons why parts of the object may not cross, although the rest does.
    pub refused: Vec<Refusal>,
    /// True if every object of the kind is due.
    pub all: bool,
    /// Further keys of the mapper that are due, whether a virtual object has them or not.
    pub wake: Vec<VirtualKey>,
    /// Delay after which the key is due again when something was created. Until then the answers to the creates do not
    /// wake it; every other change does. Without it they wake it at once.
    pub settle: Option<Duration>,
}

impl Outcome {
    /// Nothing to do.
    pub fn done() -> Self {
        Self::default()
    }

    /// One write.
    pub fn one(step: impl Into<Step>) -> Self {
        Self::done().then(step)
    }

    /// Adds a stage with one step.
    ///
    /// ```
    /// use tenet_mapper::{Effect, Outcome};
    ///
    /// fn first_the_copy(copy: Effect, status: Effect) -> Outcome {
    ///     Outcome::one(copy).then(status.best_effort())
    /// }
    /// ```
    #[must_use]
    pub fn then(self, step: impl Into<Step>) -> Self {
        self.then_together([step])
    }

    /// Adds a stage with each of these steps, one after the other.
    #[must_use]
    pub fn then_each<S: Into<Step>>(self, steps: impl IntoIterator<Item = S>) -> Self {
        steps.into_iter().fold(self, Self::then)
    }

    /// Adds one stage with all these steps; none when there are no steps.
    #[must_use]
    pub fn then_together<S: Into<Step>>(mut self, steps: impl IntoIterator<Item = S>) -> Self {
        let steps: Vec<Step> = steps.into_iter().map(Into::into).collect();
        if !steps.is_empty() {
            self.stages.push(Stage(steps));
        }
        self
    }

    /// Makes the key due again.
    #[must_use]
    pub fn next(self, next: Next) -> Self {
        Self { next, ..self }
    }

    /// Lets the answers to the creates of this outcome wait, for a mapper that has nothing to add to a new object
    /// before its side has changed it: one reconcile then handles both.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tenet_mapper::{Effect, Outcome};
    ///
    /// fn create(copy: Effect) -> Outcome {
    ///     Outcome::one(copy).settles(Duration::from_secs(2))
    /// }
    /// ```
    #[must_use]
    pub fn settles(self, delay: Duration) -> Self {
        Self { settle: Some(delay), ..self }
    }

    /// Adds a change that wakes the key.
    ///
    /// ```
    /// use tenet_mapper::{Dependency, HostKey, Outcome, kinds};
    ///
    /// let key = HostKey::new("team-a", "web-x-shop-x-vc-1");
    /// assert_eq!(Outcome::done().wait_for(Dependency::host(kinds::POD, &key)).wait.len(), 1);
    /// ```
    #[must_use]
    pub fn wait_for(mut self, dependency: Dependency) -> Self {
        self.wait.insert(dependency);
        self
    }

    /// Adds a sentence about the wait. Most waits are over in a moment; the tenant is told about one that lasts.
    ///
    /// ```
    /// use tenet_mapper::{Dependency, HostKey, Outcome, kinds};
    ///
    /// let copy = Dependency::host(kinds::SECRET, &HostKey::new("team-a", "login-x-shop-x-vc-1"));
    /// let outcome = Outcome::done().wait_for(copy).tell_if_it_lasts("the Secret login is not on the host");
    /// assert_eq!(outcome.lasting, ["the Secret login is not on the host"]);
    /// ```
    #[must_use]
    pub fn tell_if_it_lasts(mut self, sentence: impl Into<String>) -> Self {
        self.lasting.push(sentence.into());
        self
    }

    /// Makes every object of the kind due, once: for a key that stands for something around all of them.
    ///
    /// ```
    /// use tenet_mapper::Outcome;
    ///
    /// assert!(Outcome::done().with_all().all);
    /// ```
    #[must_use]
    pub fn with_all(self) -> Self {
        Self { all: true, ..self }
    }

    /// Makes further keys of the mapper due: for a key that stands for something around them.
    ///
    /// ```
    /// use tenet_mapper::{Outcome, VirtualKey};
    ///
    /// assert_eq!(Outcome::done().waking([VirtualKey::new("", "node-1")]).wake.len(), 1);
    /// ```
    #[must_use]
    pub fn waking(mut self, keys: impl IntoIterator<Item = VirtualKey>) -> Self {
        self.wake.extend(keys);
        self
    }

    /// Adds reasons why parts of the object may not cross. When all of it may not, the mapper
    /// answers with [`crate::MapError::Refused`].
    ///
    /// ```
    /// use tenet_mapper::Outcome;
    /// use tenet_mapper::rules::Refusal;
    ///
    /// let why = "takes traffic of the host's nodes".to_owned();
    /// let outcome = Outcome::done().refuse([Refusal { field: "spec.externalIPs".to_owned(), why }]);
    /// assert_eq!(outcome.refused.len(), 1);
    /// ```
    #[must_use]
    pub fn refuse(mut self, refusals: impl IntoIterator<Item = Refusal>) -> Self {
        self.refused.extend(refusals);
        self
    }

    /// All effects in the order of their stages, without their stages.
    pub fn effects(&self) -> Vec<&Effect> {
        self.stages.iter().flat_map(|stage| &stage.0).map(|step| &step.effect).collect()
    }

    /// All effects in the order of their stages.
    pub fn into_effects(self) -> Vec<Effect> {
        self.stages.into_iter().flat_map(|stage| stage.0).map(|step| step.effect).collect()
    }
}
