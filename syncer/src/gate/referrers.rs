//! Referrers of a copy that nothing seems to need: they are compared with a list from a quorum before the copy goes.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tenet_mapper::translate::Ownership;
use tenet_mapper::{Deletion, Kind, MapError, Object, ObjectRef, Side, VirtualKey};

use super::limiter::Class;
use super::{Gate, errors};
use crate::api::Page;
use crate::cache::NamespacedName;
use crate::informer::Missing;
use crate::shared_read::SharedRead;

/// Names and versions of the objects of one kind in one virtual namespace.
type Listed = Result<Arc<[(NamespacedName, Option<u64>)]>, MapError>;

type List = SharedRead<Listed>;

/// Lists of referrers that are read now. All deletes of a namespace that wait share one.
#[derive(Default)]
pub(super) struct Lists(Mutex<HashMap<(Kind, String), Weak<List>>>);

impl Lists {
    fn of(&self, kind: Kind, namespace: &str) -> Arc<List> {
        let mut lists = self.0.lock();
        let key = (kind, namespace.to_owned());
        if let Some(list) = lists.get(&key).and_then(Weak::upgrade) {
            return list;
        }
        lists.retain(|_, list| list.strong_count() > 0);
        let list = Arc::default();
        lists.insert(key, Arc::downgrade(&list));
        list
    }
}

impl Gate {
    /// Makes sure that a copy which nothing seems to need was judged by the references as they are: compares the
    /// objects that may refer to its original with a list from a quorum. Objects that the caches lack are read, and if
    /// one of them is a referrer the mapper decides again.
    pub(super) async fn know_referrers(&self, deletion: &Deletion, copy: &Object) -> Result<(), MapError> {
        let kind = deletion.target().kind.group_kind();
        let Ownership::Ours(record) = self.parts.facts.load().ownership(copy) else { return Ok(()) };
        let referrers = self.parts.router.referrers_of(kind);
        if record.kind != kind || referrers.is_empty() {
            return Ok(());
        }
        for referrer in referrers {
            let health = self.parts.caches.health(Side::Virtual, referrer);
            if health.is_none_or(|health| health.missing == Some(Missing::NotServed)) {
                continue;
            }
            for object in self.unknown(referrer, &record.namespace).await? {
                self.refresh(&object).await?;
            }
        }
        // Also a reference that another delete, or the watch, has brought since the mapper decided.
        let original = VirtualKey::new(&*record.namespace, &*record.name);
        if self.parts.router.is_mentioned(deletion.target().kind, &original) {
            return Err(MapError::Conflict(format!(
                "{} stays: the cache lacked an object that may refer to it",
                deletion.target()
            )));
        }
        Ok(self.parts.claim.verify(Side::Virtual).await?)
    }

    /// Returns the objects of a virtual namespace that a list from a quorum shows newer than the cache.
    async fn unknown(&self, kind: Kind, namespace: &str) -> Result<Vec<ObjectRef>, MapError> {
        let Some(cache) = self.parts.caches.get(Side::Virtual, kind) else { return Ok(Vec::new()) };
        let listed = self.lists.of(kind, namespace).next(async || self.list_versions(kind, namespace).await).await?;
        let unknown = listed.iter().filter(|(name, version)| *version > cache.version_of(name));
        Ok(unknown.map(|(name, _)| ObjectRef::new(Side::Virtual, kind, &name.namespace, &name.name)).collect())
    }

    async fn list_versions(&self, kind: Kind, namespace: &str) -> Listed {
        let mut page = Page { fields: Some(format!("metadata.namespace={namespace}")), ..Page::default() };
        let mut versions = Vec::new();
        loop {
            let list = self.send(Side::Virtual, Class::Spare, "list", async |api, limit| {
                api.list_metadata(kind, namespace, &page, limit).await
            });
            let (items, next) = list.await.map_err(errors::classify)?;
            versions
                .extend(items.iter().map(|item| (NamespacedName::new(&item.namespace, &item.name), item.version())));
            if next.is_none() {
                return Ok(versions.into());
            }
            page.next = next;
        }
    }
}
