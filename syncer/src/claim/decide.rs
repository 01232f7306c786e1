//! Decision about a claim, from what was read of both sides.

use std::fmt;

use tenet_mapper::Side;

use super::half::{FIRST_EPOCH, Half, Identity, Progress, Wiring};

/// Content of one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// UID of the namespace that identifies the side; `None` when the namespace does not exist.
    pub uid: Option<String>,
    /// Set while that namespace is being deleted: it empties, which proves nothing.
    pub deleting: bool,
    /// Its half.
    pub half: Found,
}

/// A half, as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// There is none.
    Missing,
    /// It cannot be read, and why.
    Unreadable(String),
    /// It is there.
    There(Half),
}

/// Content of the virtual cluster. It tells a first start from a lost claim and from a real cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inside {
    /// A node that is a picture of ours.
    pub picture: Option<String>,
    /// A node that is not.
    pub foreign_node: Option<String>,
    /// A pod that has a node.
    pub placed_pod: Option<String>,
}

/// Decision about a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Both sides belong together.
    Agrees,
    /// Nothing was ever synced: the claim is made.
    First(Identity),
    /// A first start ended before both halves were written: the rest is written.
    Unfinished(Identity),
    /// They do not belong together, or that cannot be decided: nothing is written.
    Differs(Difference),
}

/// Reason why nothing is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The namespace that identifies a side does not exist.
    NoNamespace(Side),
    /// The namespace that identifies a side is being deleted.
    Deleting(Side),
    /// A half is no claim of this version.
    Unreadable(Side, String),
    /// A half was made for another value of this field.
    Other {
        /// Side of the half.
        side: Side,
        /// The field.
        field: Field,
        /// The value in the half.
        claimed: String,
        /// The value now.
        found: String,
    },
    /// This half is missing, and the other one is there.
    HalfMissing(Side),
    /// Both halves are missing, and this shows that it is no first start.
    BothMissing(String),
    /// The virtual cluster has this node, which is not ours.
    RealCluster(String),
    /// The store of a side was restored: its epoch is behind that of the other.
    Restored {
        /// The side that is behind.
        side: Side,
        /// Epoch of the host half.
        host: u64,
        /// Epoch of the virtual half.
        virt: u64,
    },
}

/// A field of a half that has to agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Name of the virtual cluster.
    Name,
    /// Name of the host namespace.
    Namespace,
    /// UID of the host namespace.
    HostUid,
    /// UID of the virtual `kube-system` namespace.
    VirtualUid,
    /// Naming scheme.
    Scheme,
}

/// Decides about a claim. `inside` is what the virtual cluster contains; `None` during a run, when a missing claim
/// is never a first start.
pub fn decide(wiring: &Wiring, host: &Seen, virt: &Seen, inside: Option<&Inside>) -> Verdict {
    let identity = match (&host.uid, &virt.uid) {
        (Some(host), Some(virt)) => Identity { host: host.clone(), virt: virt.clone() },
        (None, _) => return Verdict::Differs(Difference::NoNamespace(Side::Host)),
        (_, None) => return Verdict::Differs(Difference::NoNamespace(Side::Virtual)),
    };
    for (side, seen) in [(Side::Host, host), (Side::Virtual, virt)] {
        if seen.deleting {
            return Verdict::Differs(Difference::Deleting(side));
        }
    }
    let halves = [(Side::Virtual, &virt.half), (Side::Host, &host.half)];
    for (side, half) in halves {
        match half {
            Found::Missing => {}
            Found::Unreadable(why) => return Verdict::Differs(Difference::Unreadable(side, why.clone())),
            Found::There(half) => {
                if let Some(difference) = compare(wiring, &identity, side, half) {
                    return Verdict::Differs(difference);
                }
            }
        }
    }
    match (&host.half, &virt.half) {
        (Found::There(host), Found::There(virt)) => compare_progress(identity, host, virt),
        // Only a first start leaves the first epoch pending.
        (Found::There(host), _) if host.progress == Progress::Pending && host.epoch == FIRST_EPOCH => inside
            .map_or(Verdict::Differs(Difference::HalfMissing(Side::Virtual)), |inside| {
                first(inside).map_or(Verdict::Unfinished(identity), Verdict::Differs)
            }),
        (Found::There(_), _) => Verdict::Differs(Difference::HalfMissing(Side::Virtual)),
        (_, Found::There(_)) => Verdict::Differs(Difference::HalfMissing(Side::Host)),
        _ => match inside {
            Some(inside) => first(inside).map_or(Verdict::First(identity), Verdict::Differs),
            None => Verdict::Differs(Difference::BothMissing("this syncer has synced it".to_owned())),
        },
    }
}

/// Returns what contradicts a first start. Beside a picture of ours no node shows a real cluster: tenants create Nodes.
fn first(inside: &Inside) -> Option<Difference> {
    match inside {
        Inside { picture: Some(node), .. } => Some(Difference::BothMissing(format!("its node {node} is ours"))),
        Inside { foreign_node: Some(node), .. } => Some(Difference::RealCluster(node.clone())),
        Inside { placed_pod: Some(pod), .. } => Some(Difference::BothMissing(format!("its pod {pod} has a node"))),
        _ => None,
    }
}

/// Compares a half with the wiring and with the UIDs of both sides.
fn compare(wiring: &Wiring, identity: &Identity, side: Side, half: &Half) -> Option<Difference> {
    let fields = [
        (Field::Name, half.name.as_str(), wiring.name.as_str()),
        (Field::Namespace, &half.namespace, &wiring.namespace),
        (Field::VirtualUid, &half.identity.virt, &identity.virt),
        (Field::HostUid, &half.identity.host, &identity.host),
        (Field::Scheme, &half.scheme, wiring.scheme.version()),
    ];
    let (field, claimed, found) = fields.into_iter().find(|(_, claimed, found)| claimed != found)?;
    Some(Difference::Other { side, field, claimed: claimed.to_owned(), found: found.to_owned() })
}

/// Compares the epochs of two halves that agree otherwise. The epoch is raised first in the host half, which then is
/// pending, and last the host half is bound again. So a difference of one beside a pending host half is a crash in
/// between, and any other is a restored store.
fn compare_progress(identity: Identity, host: &Half, virt: &Half) -> Verdict {
    match (host.progress, host.epoch, virt.epoch) {
        (Progress::Pending, FIRST_EPOCH, FIRST_EPOCH) => Verdict::Unfinished(identity),
        (_, h, v) if h == v => Verdict::Agrees,
        (Progress::Pending, h, v) if h == v + 1 => Verdict::Agrees,
        (_, h, v) => {
            let side = if h > v { Side::Virtual } else { Side::Host };
            Verdict::Differs(Difference::Restored { side, host: h, virt: v })
        }
    }
}

impl Difference {
    /// The command that resolves it, and when it does.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NoNamespace(_) => "correct the configuration, or create the namespace",
            Self::Deleting(_) => "wait until it is gone and create it again, or correct the configuration",
            Self::RealCluster(_) => {
                "correct virtual.kubeconfig; only if this cluster moves over to Tenet: `tenet-syncer claim adopt`"
            }
            Self::Restored { .. } => {
                "compare both sides (`tenet-syncer claim show`), then accept them as they are: `tenet-syncer claim adopt`"
            }
            Self::Unreadable(..) => "`tenet-syncer claim show`; upgrade the syncer, or `tenet-syncer claim adopt`",
            Self::Other { .. } | Self::HalfMissing(_) | Self::BothMissing(_) => {
                "correct the configuration; if both sides belong together: `tenet-syncer claim adopt`; if the other \
                 virtual cluster is gone for good: `tenet-syncer claim release`"
            }
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNamespace(Side::Host) => f.write_str("the host namespace (host.namespace) does not exist"),
            Self::NoNamespace(Side::Virtual) => f.write_str("the virtual cluster has no namespace kube-system"),
            Self::Deleting(side) => write!(f, "the {side} namespace is being deleted"),
            Self::Unreadable(side, why) => write!(f, "the {side} half of the claim cannot be read: {why}"),
            Self::Other { side, field, claimed, found } => {
                let what = match field {
                    Field::Name => "the virtual cluster named",
                    Field::Namespace => "the host namespace",
                    Field::HostUid => "the host namespace with the UID",
                    Field::VirtualUid => "the virtual cluster with the UID",
                    Field::Scheme => "the naming scheme",
                };
                write!(f, "the {side} half of the claim is for {what} {claimed}, and this is {found}")
            }
            Self::HalfMissing(side) => {
                let other = if *side == Side::Host { Side::Virtual } else { Side::Host };
                write!(f, "the {side} half of the claim is missing, and the {other} half is there")
            }
            Self::BothMissing(trace) => {
                write!(f, "both halves of the claim are missing, and the virtual cluster was synced before: {trace}")
            }
            Self::RealCluster(node) => {
                write!(f, "the virtual cluster has the node {node}, which is not ours: it looks like a real cluster")
            }
            Self::Restored { side, host, virt } => write!(
                f,
                "the {side} store looks restored from a backup: the epoch of the host half is {host}, that of the \
                 virtual half {virt}"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
