//! Free ports on the loopback interface.

use std::{
    hash::{BuildHasher, RandomState},
    io,
    net::{Ipv4Addr, TcpListener},
    sync::{Mutex, PoisonError},
};

/// Range below the kernel's ephemeral ports. In that range, a client that dials a restarting server can get the
/// server's own port as its source port, and connects to itself.
const RANGE: std::ops::Range<u16> = 10_240..32_000;

/// Ports that this process has given away; a server that was given its port may not have bound it yet.
static GIVEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());

/// Port that is reserved until the value is dropped.
#[derive(Debug)]
pub(crate) struct Reserved(TcpListener);

impl Reserved {
    pub(crate) fn new() -> io::Result<Self> {
        loop {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, free()?));
            if !matches!(&listener, Err(error) if error.kind() == io::ErrorKind::AddrInUse) {
                return listener.map(Self);
            }
        }
    }

    pub(crate) fn port(&self) -> io::Result<u16> {
        self.0.local_addr().map(|address| address.port())
    }
}

/// Returns a port that no process listens on, and that this process has not given away before.
///
/// Another process can still bind it first: a caller that starts a server tries again with another port.
pub fn free() -> io::Result<u16> {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut last = io::ErrorKind::AddrInUse.into();
    for _ in 0..1000 {
        let port = random();
        if given.contains(&port) {
            continue;
        }
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => {
                given.push(port);
                return Ok(port);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn random() -> u16 {
    let width = u64::from(RANGE.end - RANGE.start);
    // Every `RandomState` has fresh keys, so the hash of an empty input is a random number.
    let offset = RandomState::new().hash_one(()) % width;
    RANGE.start + u16::try_from(offset).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once() {
        let mut ports: Vec<u16> = (0..100).map(|_| free().expect("a port")).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 100);
        assert!(ports.iter().all(|port| RANGE.contains(port)));
    }
}
