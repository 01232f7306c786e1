//! Authentication: only the front proxy of the virtual API server asks, and it names the user.

use std::collections::BTreeMap;

use http::HeaderMap;

use crate::access::{Denied, Published, User};
use crate::serving::Peer;

/// The user that the front proxy names. Its certificate was verified at the handshake; here
/// its name has to be one that is published, and there has to be exactly one user.
pub(super) fn user(peer: &Peer, headers: &HeaderMap, published: &Published) -> Result<User, Denied> {
    let certificate = peer.certificate.as_ref().ok_or(Denied::Unauthorized)?;
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let proxy = User::of_certificate(certificate, now).ok_or(Denied::Unauthorized)?;
    let names = &published.front_proxy_names;
    if !(names.is_empty() || names.contains(&proxy.name)) {
        return Err(Denied::Unauthorized);
    }
    named(headers, &published.headers).ok_or(Denied::Unauthorized)
}

fn named(headers: &HeaderMap, [users, groups, extras]: &[Vec<String>; 3]) -> Option<User> {
    let all = |names: &[String]| {
        let values = names.iter().flat_map(|name| headers.get_all(name.as_str()));
        values.map(|value| value.to_str().ok().map(str::to_owned)).collect::<Option<Vec<_>>>()
    };
    let [name]: [String; 1] = all(users)?.try_into().ok()?;
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (header, value) in headers {
        let key = extras.iter().find_map(|prefix| header.as_str().strip_prefix(prefix.to_ascii_lowercase().as_str()));
        if let Some(key) = key {
            let key = percent_encoding::percent_decode_str(key).decode_utf8().ok()?.into_owned();
            extra.entry(key).or_default().push(value.to_str().ok()?.to_owned());
        }
    }
    (!name.is_empty()).then_some(User { name, uid: String::new(), groups: all(groups)?, extra })
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn user(lines: &[(&str, &str)]) -> Option<User> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let names = ["X-Remote-User", "X-Remote-Group", "X-Remote-Extra-"].map(|name| vec![name.to_owned()]);
        named(&headers, &names)
    }

    #[test]
    fn the_front_proxy_names_one_user() {
        let named = user(&[
            ("x-remote-user", "jane"),
            ("x-remote-group", "a"),
            ("x-remote-group", "b"),
            ("x-remote-extra-scopes%2fx", "s"),
            ("x-other-user", "admin"),
        ]);
        let named = named.unwrap();
        assert_eq!((named.name.as_str(), named.groups), ("jane", vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(named.extra["scopes/x"], ["s"]);
        for lines in [
            &[][..],
            &[("x-remote-user", "")],
            &[("x-remote-user", "a"), ("x-remote-user", "b")],
            &[("x-remote-group", "g")],
        ] {
            assert_eq!(user(lines), None, "{lines:?}");
        }
    }

    #[test]
    fn without_a_certificate_nobody_is_believed() {
        let mut headers = HeaderMap::new();
        headers.insert("x-remote-user", HeaderValue::from_static("admin"));
        let denied = super::user(&Peer { certificate: None }, &headers, &Published::default());
        assert!(matches!(denied, Err(Denied::Unauthorized)));
    }
}
