//! Store of the serving certificate and its authority. The authority is kept in a Secret of the
//! host namespace, so that the registrations stay valid after a restart. Both are renewed in time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tenet_mapper::kinds;
use tenet_mapper::translate::own_objects;
use thiserror::Error;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::authority::{Authority, AuthorityError, Signed};
use super::certificate::ServedCertificate;
use super::rotation::Chain;
use tenet_syncer::EngineHandle;
use tenet_syncer::api::{Api, ApiError, PatchType, Target, chain};

/// Interval of the checks of ages.
const LOOK: Duration = Duration::from_secs(60);
/// Age at which a serving certificate is renewed, in percent of its lifetime.
const RENEW: i64 = 66;
/// Number of attempts to write the Secret: another syncer may write first.
const ATTEMPTS: usize = 5;

const CERTIFICATE: &str = "ca.crt";
const KEY: &str = "ca.key";
const NEXT_CERTIFICATE: &str = "next-ca.crt";
const NEXT_KEY: &str = "next-ca.key";
const PREVIOUS_CERTIFICATE: &str = "previous-ca.crt";

/// A failure to load or renew the authority.
#[derive(Debug, Error)]
pub enum CertificateStoreError {
    /// The Secret could not be read or written.
    #[error("cannot read or write host Secret {secret}")]
    Secret {
        /// Its name.
        secret: String,
        /// Reason.
        source: ApiError,
    },
    /// The authority cannot be made or used.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Another replica makes it.
    #[error("host Secret {0} does not exist yet: the replica that holds the lease makes it")]
    Missing(String),
    /// Others write it all the time.
    #[error("cannot write host Secret {0}: it is changed by others all the time")]
    Contended(String),
}

/// Store of the serving certificate and its authority.
pub struct CertificateStore {
    secret: StoredSecret,
    chain: watch::Sender<Chain>,
    served: Arc<ServedCertificate>,
    names: Vec<String>,
    validity: parking_lot::Mutex<super::authority::Validity>,
}

impl CertificateStore {
    /// Reads the authority of the virtual cluster `vc`, or makes it if this replica may write. The certificate that
    /// it signs is for `names`.
    pub async fn start(
        host: Api,
        vc: &str,
        namespace: &str,
        names: Vec<String>,
        limit: Duration,
        may_write: bool,
    ) -> Result<Self, CertificateStoreError> {
        let (vc, namespace) = (vc.to_owned(), namespace.to_owned());
        let secret = StoredSecret { host, name: own_objects::serving_secret(&vc), vc, namespace, limit };
        let chain = if may_write { secret.rotate().await? } else { secret.stored().await? };
        let signed = chain.current.sign("tenet", &names, OffsetDateTime::now_utc())?;
        Ok(Self {
            secret,
            validity: parking_lot::Mutex::new(signed.validity),
            served: Arc::new(ServedCertificate::new(signed.key)),
            chain: watch::channel(chain).0,
            names,
        })
    }

    /// Returns the certificate that sockets serve.
    pub fn served(&self) -> Arc<ServedCertificate> {
        Arc::clone(&self.served)
    }

    /// Returns the authorities that clients should trust, as PEM. [`Self::changed`] tells when
    /// there are others.
    pub fn bundle(&self) -> String {
        self.chain.borrow().bundle()
    }

    /// Waits for the next change of the bundle.
    pub fn changed(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut changes = self.chain.subscribe();
        async move { drop(changes.changed().await) }
    }

    /// Returns a secret derived from the authority's key, another one for each purpose. It changes
    /// with the authority.
    pub fn derive_secret(&self, purpose: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.chain.borrow().current.key.as_bytes());
        URL_SAFE_NO_PAD.encode(&hmac::sign(&key, purpose.as_bytes()).as_ref()[..16])
    }

    /// Signs a certificate of this authority for other names.
    pub fn sign(&self, names: &[String]) -> Result<Signed, AuthorityError> {
        self.chain.borrow().current.sign("tenet", names, OffsetDateTime::now_utc())
    }

    /// Renews both in time while the claim agrees, until it is told to stop; a replica that stands by takes over the
    /// renewals of another one.
    pub async fn run(&self, engine: &dyn EngineHandle, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(LOOK) => {}
            }
            if !engine.may_write() {
                self.follow().await;
                continue;
            }
            if engine.check_claim().is_err() {
                continue;
            }
            if let Err(error) = self.look().await {
                tracing::warn!(error = %chain(&error), "cannot renew the serving certificate");
            }
        }
    }

    /// Takes over what another replica has stored.
    pub async fn follow(&self) {
        let followed = async {
            let stored = self.secret.stored().await?;
            self.replace(stored)
        };
        if let Err(error) = followed.await {
            tracing::warn!(error = %chain(&error), "cannot read the serving certificate");
        }
    }

    async fn look(&self) -> Result<(), CertificateStoreError> {
        let step = self.chain.borrow().step(&self.secret.vc, OffsetDateTime::now_utc())?;
        let chain = if step.is_some() { self.secret.rotate().await? } else { self.chain.borrow().clone() };
        self.replace(chain)
    }

    /// Replaces the authorities, and the certificate if it is old or the authority that signs is another one.
    fn replace(&self, chain: Chain) -> Result<(), CertificateStoreError> {
        let mut renew = self.validity.lock().age(OffsetDateTime::now_utc().unix_timestamp()) >= RENEW;
        if chain != *self.chain.borrow() {
            renew |= chain.current != self.chain.borrow().current;
            self.chain.send_replace(chain);
            tracing::info!("authority of the serving certificate rotated");
        }
        if renew {
            let signed = self.sign(&self.names)?;
            *self.validity.lock() = signed.validity;
            self.served.set(signed.key);
        }
        Ok(())
    }
}

/// The Secret that holds the authority.
struct StoredSecret {
    host: Api,
    name: String,
    vc: String,
    namespace: String,
    limit: Duration,
}

impl StoredSecret {
    /// Returns the authorities as they are stored, after a step of their rotation if one is due.
    async fn rotate(&self) -> Result<Chain, CertificateStoreError> {
        for _ in 0..ATTEMPTS {
            let stored = self.read().await?;
            let chain = stored.as_ref().and_then(read_chain);
            if stored.is_some() && chain.is_none() {
                tracing::warn!(secret = self.name, "host Secret holds no usable authority: replacing it");
            }
            let now = OffsetDateTime::now_utc();
            let step = match &chain {
                None => Some(Chain::new(&self.vc, now)?),
                Some(chain) => chain.step(&self.vc, now)?,
            };
            match (step, chain) {
                (None, Some(chain)) => return Ok(chain),
                (Some(step), _) if self.write(stored.as_ref(), &step).await? => return Ok(step),
                _ => {}
            }
        }
        Err(CertificateStoreError::Contended(self.name.clone()))
    }

    /// Returns the authorities as they are stored.
    async fn stored(&self) -> Result<Chain, CertificateStoreError> {
        let chain = self.read().await?.as_ref().and_then(read_chain);
        chain.ok_or_else(|| CertificateStoreError::Missing(self.name.clone()))
    }

    async fn read(&self) -> Result<Option<Value>, CertificateStoreError> {
        self.host.get(&self.target(), self.limit).await.map_err(|source| self.error(source))
    }

    /// Writes the Secret. Returns false when another syncer has changed it meanwhile.
    async fn write(&self, stored: Option<&Value>, chain: &Chain) -> Result<bool, CertificateStoreError> {
        let data = data_of(chain);
        let written = match stored {
            None => {
                let secret = json!({
                    "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
                    "metadata": {
                        "name": self.name, "namespace": self.namespace,
                        "labels": {"app.kubernetes.io/managed-by": "tenet", "app.kubernetes.io/instance": self.vc},
                    },
                    "data": data,
                });
                self.host.create(&self.target(), &secret, self.limit).await
            }
            Some(stored) => {
                let patch = json!([
                    {"op": "replace", "path": "/metadata/resourceVersion", "value": stored["metadata"]["resourceVersion"]},
                    {"op": "add", "path": "/data", "value": data},
                ]);
                self.host.patch(&self.target(), PatchType::Json, &patch, self.limit).await
            }
        };
        match written {
            Ok(_) => Ok(true),
            Err(error) if error.is_lost_race() => Ok(false),
            Err(source) => Err(self.error(source)),
        }
    }

    fn target(&self) -> Target<'_> {
        Target::new(kinds::SECRET, &self.namespace, &self.name)
    }

    fn error(&self, source: ApiError) -> CertificateStoreError {
        CertificateStoreError::Secret { secret: self.name.clone(), source }
    }
}

fn data_of(chain: &Chain) -> BTreeMap<&'static str, String> {
    let next = chain.next.as_ref();
    let all = [
        (CERTIFICATE, Some(&chain.current.certificate)),
        (KEY, Some(&chain.current.key)),
        (NEXT_CERTIFICATE, next.map(|next| &next.certificate)),
        (NEXT_KEY, next.map(|next| &next.key)),
        (PREVIOUS_CERTIFICATE, chain.previous.as_ref()),
    ];
    all.into_iter().filter_map(|(key, text)| Some((key, STANDARD.encode(text?)))).collect()
}

/// Reads the authorities in a Secret; `None` when it cannot be used.
fn read_chain(secret: &Value) -> Option<Chain> {
    let text = |key: &str| {
        let data = STANDARD.decode(secret.get("data")?.get(key)?.as_str()?).ok()?;
        String::from_utf8(data).ok()
    };
    let authority = |certificate, key| {
        let authority = Authority { certificate: text(certificate)?, key: text(key)? };
        authority.check().ok().map(|()| authority)
    };
    Some(Chain {
        current: authority(CERTIFICATE, KEY)?,
        next: authority(NEXT_CERTIFICATE, NEXT_KEY),
        previous: text(PREVIOUS_CERTIFICATE).filter(|pem| super::authority::validity(pem).is_ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read_again_and_damage_is_noticed() {
        let now = OffsetDateTime::now_utc();
        let mut chain = Chain::new("vc-1", now).unwrap();
        chain.next = Some(Authority::new("vc-1", now).unwrap());
        let secret = json!({ "data": data_of(&chain) });
        assert_eq!(read_chain(&secret), Some(chain.clone()));

        let mut damaged = secret.clone();
        damaged["data"]["next-ca.key"] = json!("bm8=");
        assert_eq!(read_chain(&damaged), Some(Chain { next: None, ..chain.clone() }));
        damaged["data"]["ca.key"] = secret["data"]["next-ca.key"].clone();
        assert_eq!(read_chain(&damaged).map(|chain| chain.current), None, "a key that is not the certificate's");
        assert_eq!(read_chain(&json!({})), None);
    }
}
