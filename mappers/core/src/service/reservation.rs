//! Reservation of a host Service for a request that the virtual API server has not
//! served yet: see [`super::admission`].

use tenet_mapper::{
    Context, CopyMapper, Deletion, Effect, MapError, Next, Object, Outcome, Reservation, VirtualKey, kinds,
};

use super::{Services, is_external};

/// Returns the reservation that a host Service still is: a request may still create its virtual
/// Service, or change the one that it belongs to.
pub(super) fn open(cx: &Context<'_>, host: &Object, virt: Option<&Object>) -> Option<Reservation> {
    let reservation = cx.reservation(host).filter(|_| !host.is_deleting())?;
    let owner = cx.ownership(host).ours()?;
    let is_open = owner.is_reservation() || virt.is_some_and(|virt| owner.uid == virt.uid() && !virt.is_ending());
    is_open.then_some(reservation)
}

/// Reconciles a reservation. It stays unchanged until the virtual Service shows that the request was served, or the
/// request must have failed.
pub(super) fn reconcile(
    copies: &CopyMapper<Services>,
    cx: &Context<'_>,
    key: &VirtualKey,
    host: Object,
    reservation: &Reservation,
) -> Result<Outcome, MapError> {
    let kind = kinds::SERVICE;
    let (virt, owner) = (cx.virt(kind, key), cx.owned(kind, &host)?);
    let arrived = virt.filter(|virt| {
        let is_meant = owner.is_reservation() || owner.uid == virt.uid();
        is_meant && !virt.is_ending() && !is_external(virt) && reservation.has_arrived(virt)
    });
    if let Some(virt) = arrived {
        return copies.sync(cx, key, virt, Some(host));
    }
    if cx.now() < reservation.until {
        return Ok(Outcome::done().next(Next::At(reservation.until)));
    }
    // The watch may not have shown the result of the request yet.
    let delete = |deletion| Ok(Outcome::one(Effect::Delete(deletion)));
    match cx.content(kind, key)? {
        Some(virt) if !owner.is_reservation() && virt.uid() != owner.uid => delete(Deletion::orphan(kind, &host, kind)),
        Some(virt) if virt.is_ending() => Deletion::follow(kind, &host, &virt)
            .map_or_else(|| Ok(Outcome::done()), |gone| delete(gone.at_version(&host))),
        Some(virt) if is_external(&virt) => delete(Deletion::redundant(kind, &host).at_version(&host)),
        Some(virt) => copies.sync(cx, key, virt, Some(host)),
        None => delete(Deletion::lapsed(kind, &host)),
    }
}
