//! Images of the tests, made of programs of this machine.
//!
//! The tests ask for tools by their paths and options, so `nc` is that of OpenBSD and `curl` is curl, as in the
//! original images.

use std::{io, sync::Arc};

use anyhow::{Context, Result};
use tenet_install::pki::{Authority, Purpose};
use tenet_playground::{Component, Components, Image, Layer, LayerFiles, program};
use time::{Duration, OffsetDateTime};

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Programs beside busybox in the images of the tests: path in the image, and Debian package.
const TOOLS: [(&str, &str); 9] = [
    ("/bin/bash", "bash"),
    ("/usr/bin/curl", "curl"),
    ("/usr/bin/nc", "netcat-openbsd"),
    ("/usr/bin/dig", "bind9-dnsutils"),
    ("/usr/bin/nslookup", "bind9-dnsutils"),
    ("/usr/bin/wget", "wget"),
    ("/usr/bin/getent", "libc-bin"),
    ("/usr/sbin/ip", "iproute2"),
    ("/usr/bin/ss", "iproute2"),
];

/// User and groups that the tests expect in the image of agnhost.
const USERS: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n\
                     user-defined-in-image:x:1000:1000::/home:/bin/sh\n";
const GROUPS: &str = "root:x:0:\nnobody:x:65534:\nuser-defined-in-image:x:1000:\n\
                      group-defined-in-image:x:50000:user-defined-in-image\n";

/// Web server with a signal handler, which the first process of a container needs to end in time.
const WEB_SERVER: &str = "trap 'kill $!; exit 0' TERM QUIT INT; httpd -f -p 80 -h /usr/share/nginx/html & wait";

/// Returns all images of `names` that there is a stand-in for, and CoreDNS, and the names of the others.
pub fn make(names: &[String], components: &Components) -> Result<(Vec<Image>, Vec<String>)> {
    let recipes = Recipes::new(components)?;
    let mut missing = Vec::new();
    let mut images = vec![recipes.coredns()?];
    for name in names {
        match recipes.image(name)? {
            Some(image) => images.push(Image { names: vec![name.clone()], env: vec![PATH.to_owned()], ..image }),
            None => missing.push(name.clone()),
        }
    }
    Ok((images, missing))
}

/// Layers that several images share.
struct Recipes<'a> {
    components: &'a Components,
    tools: Arc<Layer>,
    agnhost: Arc<Layer>,
}

impl<'a> Recipes<'a> {
    fn new(components: &'a Components) -> Result<Self> {
        let mut tools = LayerFiles::default();
        for (folder, mode) in [("/etc", 0o755), ("/root", 0o700), ("/tmp", 0o1777), ("/home", 0o755)] {
            tools.folder(folder, mode)?;
        }
        for (path, package) in TOOLS {
            tools.program(path, &program(path.rsplit('/').next().unwrap_or(path), package)?)?;
        }
        // The shell of busybox would run its own `nc` before that in the path.
        tools.link("/bin/sh", "bash")?;
        tools.tools(&program("busybox", "busybox-static")?)?;
        for (path, text) in
            [("/etc/passwd", USERS), ("/etc/group", GROUPS), ("/etc/nsswitch.conf", "hosts: files dns\n")]
        {
            tools.file(path, 0o644, text.as_bytes())?;
        }
        let mut agnhost = LayerFiles::default();
        agnhost.program("/agnhost", components.path(Component::Agnhost))?;
        agnhost.link("/agnhost-2", "agnhost")?;
        agnhost.folder("/uploads", 0o755)?;
        let (certificate, key) = certificate()?;
        agnhost.file("/localhost.crt", 0o644, certificate.as_bytes())?;
        agnhost.file("/localhost.key", 0o644, key.as_bytes())?;
        Ok(Self { components, tools: tools.into_layer()?, agnhost: agnhost.into_layer()? })
    }

    /// Returns the image of a tagged name, without its names.
    fn image(&self, name: &str) -> Result<Option<Image>> {
        let agnhost = |more: Option<Arc<Layer>>, entry: &[&str], command: &[&str]| {
            image([self.tools.clone(), self.agnhost.clone()].into_iter().chain(more), entry, command)
        };
        let tools = |more: Option<Arc<Layer>>, entry: &[&str], command: &[&str]| {
            image([self.tools.clone()].into_iter().chain(more), entry, command)
        };
        Ok(Some(match base_name(name) {
            "agnhost" => agnhost(None, &["/agnhost"], &["pause"]),
            "pause" => agnhost(None, &["/agnhost", "pause"], &[]),
            "busybox" => {
                // One test compares a message of `/bin/sh`. Others need variables such as `data-1` of an `sh` without a
                // path, which the busybox of Debian drops, so that one stays bash.
                let shells = layer(|files| {
                    files.link("/bin/sh", "busybox")?;
                    files.link("/usr/bin/sh", "/bin/bash")
                })?;
                tools(Some(shells), &[], &["sh"])
            }
            "glibc-dns-testing" => tools(None, &[], &["sh"]),
            "nonroot" => Image { user: "1234".to_owned(), ..tools(None, &[], &["sh"]) },
            picture @ ("kitten" | "nautilus") => {
                let data = format!("{{\n  \"image\": \"{picture}.jpg\"\n}}\n");
                let layer = layer(|files| files.file("/data.json", 0o644, data.as_bytes()))?;
                agnhost(Some(layer), &["/agnhost"], &["test-webserver"])
            }
            "nginx" => {
                let page = b"<html><title>Welcome to nginx!</title></html>\n";
                let layer = layer(|files| files.file("/usr/share/nginx/html/index.html", 0o644, page))?;
                tools(Some(layer), &["sh", "-c", WEB_SERVER], &[])
            }
            "nonewprivs" => {
                let program = std::fs::read(self.components.path(Component::NoNewPrivileges))?;
                // It runs as root whoever starts it, unless the container forbids that.
                tools(Some(layer(|files| files.file("/usr/local/bin/nnp", 0o4755, &program))?), &[], &["nnp"])
            }
            "sample-apiserver" => {
                let program = self.components.path(Component::SampleApiServer);
                let layer = layer(|files| files.program("/sample-apiserver", program))?;
                tools(Some(layer), &["/sample-apiserver"], &[])
            }
            "etcd" => {
                let program = self.components.path(Component::Etcd);
                tools(Some(layer(|files| files.program("/usr/local/bin/etcd", program))?), &[], &[])
            }
            _ => return Ok(None),
        }))
    }

    /// Returns the image that the syncer deploys by default.
    fn coredns(&self) -> Result<Image> {
        let program = self.components.path(Component::CoreDns);
        let layer = layer(|files| files.program("/coredns", program))?;
        let version = Component::CoreDns.pinned().context("CoreDNS is not pinned")?;
        let name = format!("registry.k8s.io/coredns/coredns:v{version}");
        Ok(Image { names: vec![name], ..image([layer], &["/coredns"], &[]) })
    }
}

/// Returns the last part of the name of an image, without its tag.
pub fn base_name(name: &str) -> &str {
    let last = name.rsplit('/').next().unwrap_or(name);
    last.split(':').next().unwrap_or(last)
}

fn layer(fill: impl FnOnce(&mut LayerFiles) -> io::Result<()>) -> io::Result<Arc<Layer>> {
    let mut files = LayerFiles::default();
    fill(&mut files)?;
    files.into_layer()
}

fn image(layers: impl IntoIterator<Item = Arc<Layer>>, entry: &[&str], command: &[&str]) -> Image {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Image { layers: layers.into_iter().collect(), entry: words(entry), command: words(command), ..Image::default() }
}

/// Creates the certificate that agnhost serves HTTPS with; the tests do not verify it.
fn certificate() -> Result<(String, String)> {
    let now = OffsetDateTime::now_utc();
    let authority = Authority::read(&Authority::create("agnhost", now)?)?;
    let leaf = authority.issue("localhost", &Purpose::Server(vec!["127.0.0.1".to_owned()]), now, Duration::days(30))?;
    Ok((leaf.certificate, leaf.key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipe_of_an_image_is_found_by_its_last_name() {
        assert_eq!(base_name("registry.k8s.io/e2e-test-images/agnhost:2.66.1"), "agnhost");
        assert_eq!(base_name("registry.example.com:5000/pause"), "pause");
    }
}
