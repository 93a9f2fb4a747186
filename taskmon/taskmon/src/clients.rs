// SPDX-License-Identifier: GPL-2.0-only

//! What each client of the exporter has seen. Nothing here reads or writes anything.
//!
//! rate() and increase() of Prometheus need a counter's zero before its first value. So a group that is new is given with zeros once
//! to each client. Clients that share an address and a name are one: only the first of them sees the zeros.

use std::collections::VecDeque;
use std::net::IpAddr;

/// So many clients are known at once. Another one takes the place of the one that has been away for longest, which is new when it
/// comes again.
const MOST: usize = 64;
/// Bytes of a client's name that are kept.
const LONGEST_NAME: usize = 128;

/// A client: its address, and its User-Agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    address: Option<IpAddr>,
    agent: String,
}

impl Client {
    /// The client with this address and User-Agent.
    pub fn new(address: Option<IpAddr>, agent: &str) -> Self {
        Self { address, agent: agent.chars().take(LONGEST_NAME).collect() }
    }
}

/// The clients, and the update of the groups that each has seen last.
#[derive(Debug, Default)]
pub struct Clients(VecDeque<(Client, u64)>);

impl Clients {
    /// Returns what `client` saw last; `None` if it is new.
    pub fn seen(&self, client: &Client) -> Option<u64> {
        self.0.iter().find(|(known, _)| known == client).map(|&(_, seen)| seen)
    }

    /// `client` sees the update `now`.
    pub fn sees(&mut self, client: Client, now: u64) {
        self.0.retain(|(known, _)| *known != client);
        while self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back((client, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(i: u8, agent: &str) -> Client {
        Client::new(Some(IpAddr::from([127, 0, 0, i])), agent)
    }

    #[test]
    fn each_has_seen_its_own() {
        let mut clients = Clients::default();
        clients.sees(client(1, "Prometheus/3.5"), 1);
        clients.sees(client(2, "Prometheus/3.5"), 2);
        clients.sees(client(1, "curl/8"), 3);
        let seen = |i, agent| clients.seen(&client(i, agent));
        assert_eq!(
            [seen(1, "Prometheus/3.5"), seen(2, "Prometheus/3.5"), seen(1, "curl/8")],
            [Some(1), Some(2), Some(3)]
        );
        assert_eq!((seen(3, "curl/8"), seen(1, "")), (None, None));
    }

    #[test]
    fn they_take_little_memory() {
        let mut clients = Clients::default();
        let name = |i: u64| Client::new(None, &format!("{i} {}", "x".repeat(10_000)));
        for i in 0..1000 {
            clients.sees(name(i), i);
            clients.sees(name(0), i);
        }
        assert_eq!(clients.0.len(), MOST);
        assert_eq!(
            (clients.seen(&name(0)), clients.seen(&name(999)), clients.seen(&name(1))),
            (Some(999), Some(999), None)
        );
        assert!(clients.0.iter().all(|(client, _)| client.agent.len() <= LONGEST_NAME));
    }
}
