//! Registry that nodes pull images from, for pods that always pull.

use std::{collections::BTreeMap, convert::Infallible, io, sync::Arc};

use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use super::archive::{Image, digest};

/// Read-only registry on loopback. Dropping it ends it.
#[derive(Debug)]
pub struct Registry {
    port: u16,
    server: JoinHandle<()>,
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// Manifests, configurations and layers.
#[derive(Debug, Default)]
struct Store {
    /// Digest of the manifest for each tagged name.
    tags: BTreeMap<String, String>,
    contents: BTreeMap<String, Content>,
}

#[derive(Clone, Debug)]
struct Content {
    media_type: &'static str,
    bytes: Bytes,
}

impl Registry {
    /// Starts a registry with these images.
    pub async fn start(images: &[Image]) -> io::Result<Self> {
        let store = Arc::new(Store::new(images));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let server = tokio::spawn(async move {
            // An error concerns one connection: the client tries again.
            while let Ok((client, _)) = listener.accept().await {
                let store = store.clone();
                let answer = service_fn(move |request| std::future::ready(Ok::<_, Infallible>(store.answer(&request))));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(client), answer));
            }
        });
        Ok(Self { port, server })
    }

    /// Returns the port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Store {
    fn new(images: &[Image]) -> Self {
        let mut store = Self::default();
        for image in images {
            let config = store.add(CONFIG, image.config().into());
            let layers: Vec<Value> = image.layers.iter().map(|layer| store.add(LAYER, layer.bytes())).collect();
            let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
            let manifest = store.add(MANIFEST, manifest.to_string().into());
            let digest = manifest["digest"].as_str().unwrap_or_default();
            store.tags.extend(image.names.iter().map(|name| (name.clone(), digest.to_owned())));
        }
        store
    }

    /// Adds content, and returns its descriptor.
    fn add(&mut self, media_type: &'static str, bytes: Bytes) -> Value {
        let digest = format!("sha256:{}", digest(&bytes));
        let descriptor = json!({"mediaType": media_type, "digest": digest, "size": bytes.len()});
        self.contents.insert(digest, Content { media_type, bytes });
        descriptor
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let uri = request.uri();
        let found = if uri.path() == "/v2/" {
            Some((String::new(), Content { media_type: "application/json", bytes: Bytes::from_static(b"{}") }))
        } else {
            self.find(uri.path(), uri.query().unwrap_or_default())
        };
        let Some((digest, content)) = found else {
            let mut missing = Response::new(Full::default());
            *missing.status_mut() = StatusCode::NOT_FOUND;
            return missing;
        };
        let mut answer = Response::new(Full::new(content.bytes));
        answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content.media_type));
        if let Ok(digest) = digest.parse() {
            answer.headers_mut().insert("docker-content-digest", digest);
        }
        answer
    }

    /// Returns the content of a path with its digest. The query of a mirror names the registry that it stands for.
    fn find(&self, path: &str, query: &str) -> Option<(String, Content)> {
        let rest = path.strip_prefix("/v2/")?;
        let (name, reference) = rest.rsplit_once("/manifests/").or_else(|| rest.rsplit_once("/blobs/"))?;
        let host = query.split('&').find_map(|pair| pair.strip_prefix("ns="))?;
        let digest = self.tags.get(&format!("{host}/{name}:{reference}")).map_or(reference, String::as_str);
        Some((digest.to_owned(), self.contents.get(digest)?.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::real_node::archive::LayerFiles;

    #[test]
    fn an_image_is_found_by_its_tag_and_its_parts_by_their_digests() {
        let layer = LayerFiles::default().into_layer().expect("a layer");
        let names = vec!["registry.example.com/team/web:1".to_owned()];
        let store = Store::new(&[Image { names, layers: vec![layer.clone()], ..Image::default() }]);
        let get = |path: &str| store.find(path, "ns=registry.example.com");
        let (digest, manifest) = get("/v2/team/web/manifests/1").expect("the tag");
        let manifest: Value = serde_json::from_slice(&manifest.bytes).expect("a manifest");
        assert!(get(&format!("/v2/team/web/manifests/{digest}")).is_some());
        let blob = |descriptor: &Value| get(&format!("/v2/team/web/blobs/{}", descriptor["digest"].as_str()?));
        let (_, found) = blob(&manifest["layers"][0]).expect("the layer");
        assert_eq!(found.bytes, layer.bytes());
        assert_eq!(blob(&manifest["config"]).expect("the configuration").1.media_type, CONFIG);
        assert!(get("/v2/team/web/manifests/2").is_none());
        assert!(store.find("/v2/team/web/manifests/1", "ns=docker.io").is_none());
    }
}
