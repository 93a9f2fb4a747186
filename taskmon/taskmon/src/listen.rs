// SPDX-License-Identifier: GPL-2.0-only

//! Where to listen: addresses and names of hosts, and sockets for them.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::process::Command;
use std::str::FromStr;

use nix::errno::Errno;

use crate::Failure;

/// No more addresses of a name are listened on.
const MOST: usize = 16;

/// What is listened on.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    /// All addresses of this machine.
    All,
    Address(SocketAddr),
    Name(String),
}

/// A host and a port, as in `localhost:9898`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    host: Host,
    port: u16,
    // As it was given.
    text: String,
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORMS: &str = "expected HOST:PORT, such as localhost:9898, [::1]:9898 or :9898 (all addresses)";
        let of = |host: Host, port: u16| Self { host, port, text: text.to_owned() };
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(of(Host::Address(address), address.port()));
        }
        let (host, port) = text.rsplit_once(':').ok_or(FORMS)?;
        let address = |b: u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.' | b'%');
        if host.contains(':') && host.bytes().all(address) {
            return Err(format!("{FORMS}; an IPv6 address needs brackets"));
        }
        let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        let port =
            port.parse().ok().filter(|_| digits).ok_or_else(|| format!("\"{port}\" is not a port; {FORMS}"))?;
        if host.is_empty() {
            return Ok(of(Host::All, port));
        }
        // (What looks like an address, but is none, is no name either.)
        let named = host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
        let numeric = host.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
        if !named || numeric || host.starts_with('-') {
            return Err(format!("\"{host}\" is neither an address nor the name of a host; {FORMS}"));
        }
        Ok(of(Host::Name(host.to_owned()), port))
    }
}

impl Listen {
    /// Sockets that listen there: one for each address of a name.
    pub fn sockets(&self) -> Result<Vec<TcpListener>, Failure> {
        let failed = |e: io::Error| Failure::other(format!("cannot listen on {self}"), e);
        let port = self.port;
        let at = |address: IpAddr| SocketAddr::new(address, port);
        match &self.host {
            Host::Address(address) => Ok(vec![TcpListener::bind(address).map_err(failed)?]),
            Host::All => all(port).map_err(failed),
            Host::Name(name) => {
                let addresses: Vec<SocketAddr> =
                    addresses(name).map_err(|e| failed(io::Error::other(e)))?.into_iter().map(at).collect();
                each(&addresses).map_err(failed)
            }
        }
    }
}

/// Whether the kernel has no such address: one of a name that is not for this machine, or IPv6 that is turned off.
fn is_not_here(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EADDRNOTAVAIL | Errno::EAFNOSUPPORT))
}

/// Listens on all of `addresses` that this machine has, one at least.
fn each(addresses: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    let (mut listeners, mut last) = (Vec::new(), None);
    for address in addresses {
        match TcpListener::bind(address) {
            Ok(listener) => listeners.push(listener),
            Err(e) if is_not_here(&e) => last = Some(e),
            Err(e) => return Err(io::Error::new(e.kind(), format!("{address}: {e}"))),
        }
    }
    match last {
        Some(e) if listeners.is_empty() => Err(e),
        _ => Ok(listeners),
    }
}

/// Listens on all addresses of this machine.
///
/// A socket for IPv6 is one for IPv4, too, unless net.ipv6.bindv6only is set. Which of the two it is shows by whether one for IPv4 is in
/// its way: in the end, each of IPv4 and IPv6 that this machine has is listened on, or that fails.
fn all(port: u16) -> io::Result<Vec<TcpListener>> {
    let bind = |address: IpAddr, port: u16| TcpListener::bind((address, port));
    let (six, four) = (IpAddr::from(Ipv6Addr::UNSPECIFIED), IpAddr::from(Ipv4Addr::UNSPECIFIED));
    let listener = match bind(four, port) {
        Ok(listener) => listener,
        Err(e) if is_not_here(&e) => return Ok(vec![bind(six, port)?]),
        Err(e) => return Err(e),
    };
    let port = listener.local_addr()?.port();
    match bind(six, port) {
        Ok(other) => Ok(vec![other, listener]),
        Err(e) if is_not_here(&e) => Ok(vec![listener]),
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
            drop(listener);
            // If it is still in use, then by another program.
            Ok(vec![bind(six, port)?])
        }
        Err(e) => Err(e),
    }
}

/// The addresses of the host `name`.
///
/// taskmon has no shared libraries, so it cannot load what /etc/nsswitch.conf names: getent can.
fn addresses(name: &str) -> Result<Vec<IpAddr>, String> {
    if name.eq_ignore_ascii_case("localhost") {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let output = Command::new("getent").args(["ahosts", name]).output().map_err(|e| {
        format!("cannot look up the host {name} (getent: {e}); use an address, such as 127.0.0.1:9898")
    })?;
    let mut addresses = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let address = line.split_ascii_whitespace().next().and_then(|word| word.parse().ok());
        if let Some(address) = address.filter(|address| !addresses.contains(address) && addresses.len() < MOST) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err(format!("there is no host {name}")) } else { Ok(addresses) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let host = |text: &str| text.parse::<Listen>().map(|listen| (listen.host, listen.port));
        for text in ["127.0.0.1:9898", "[::1]:9898", "0.0.0.0:9898", "[::]:9898"] {
            assert_eq!(host(text), Ok((Host::Address(text.parse().unwrap()), 9898)));
        }
        assert_eq!(host(":9898"), Ok((Host::All, 9898)));
        for name in ["localhost", "db-1.example.org", "a"] {
            assert_eq!(host(&format!("{name}:1")), Ok((Host::Name(name.to_owned()), 1)));
        }
        for bad in [
            "",
            ":",
            "9898",
            "localhost",
            "localhost:",
            "localhost:x",
            "localhost:+1",
            "localhost:65536",
            "::1:9898",
            "[::1]",
            "[::1:9898",
            "[localhost]:1",
            "127.0.0.256:1",
            "1.2.3:1",
            "a b:1",
            "-a:1",
            "http://localhost:1",
            "a:1/metrics",
        ] {
            assert!(host(bad).is_err(), "{bad:?}");
        }
        assert!(host("::1:9898").unwrap_err().contains("brackets"));
    }

    #[test]
    fn sockets() {
        let addresses = |text: &str| -> Vec<SocketAddr> {
            let sockets = text.parse::<Listen>().unwrap().sockets().unwrap();
            sockets.iter().map(|socket| socket.local_addr().unwrap()).collect()
        };
        let local = addresses("localhost:0");
        assert!(local.iter().any(SocketAddr::is_ipv4) && local.iter().all(|a| a.ip().is_loopback()), "{local:?}");
        let all = addresses(":0");
        assert!(!all.is_empty() && all.iter().all(|a| a.ip().is_unspecified()), "{all:?}");
        // Whatever IPv6 is here, IPv4 reaches it.
        let sockets = ":0".parse::<Listen>().unwrap().sockets().unwrap();
        let port = sockets.first().unwrap().local_addr().unwrap().port();
        std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let taken = format!("127.0.0.1:{port}").parse::<Listen>().unwrap();
        assert!(
            taken.sockets().unwrap_err().to_string().starts_with(&format!("cannot listen on 127.0.0.1:{port}: "))
        );
        let none = "no-such-host.invalid:1".parse::<Listen>().unwrap().sockets().unwrap_err().to_string();
        assert!(none.contains("no-such-host.invalid"), "{none}");
    }
}
