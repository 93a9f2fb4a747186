// SPDX-License-Identifier: GPL-2.0-only

//! As much of HTTP as an exporter needs: GET and HEAD, one request a connection, and nothing that a client could do to
//! stop the others or to take memory.
//!
//! One thread serves all connections. None is ever waited for: what a client has not sent, or not taken, is gone on with
//! when it has. The number of connections, the length of a request and the time that it may take are limited.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::IpAddr;
use std::net::Shutdown;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::Duration;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;

use crate::Failure;
use crate::signals::Stop;

/// Connections at once. When one more comes, the oldest has had its time.
const CONNECTIONS: usize = 64;
/// Bytes of a request's head.
const LONGEST_HEAD: usize = 1 << 14;
/// How long a client may take to send its request.
const TO_ASK: Duration = Duration::from_secs(10);
/// How long it may take to receive the answer.
const TO_TAKE: Duration = Duration::from_secs(30);
/// How long it may take to hang up then.
const TO_LEAVE: Duration = Duration::from_secs(1);
/// So often it is looked whether to stop, and whose time is over.
const LOOK: Duration = Duration::from_millis(250);

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The path, without what follows a question mark.
    pub path: String,
    /// What it accepts.
    pub accept: String,
    /// The name that the client gives itself.
    pub agent: String,
    /// The client's address, if it is known.
    pub address: Option<IpAddr>,
    // Whether only the head of the answer is asked for.
    head: bool,
}

impl Request {
    /// Reads the head of a request, all before the empty line.
    fn parse(text: &[u8]) -> Result<Self, Response> {
        let bad = || Response::plain(400, "malformed HTTP request\n");
        let text = std::str::from_utf8(text).map_err(|_| bad())?;
        let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(bad());
        };
        if method.is_empty() || !target.starts_with('/') || !version.starts_with("HTTP/1.") {
            return Err(bad());
        }
        let (mut accept, mut agent) = (Vec::new(), String::new());
        for line in lines {
            let (name, value) = line.split_once(':').ok_or_else(bad)?;
            if name.eq_ignore_ascii_case("accept") {
                accept.push(value.trim());
            } else if name.eq_ignore_ascii_case("user-agent") {
                agent = value.trim().to_owned();
            }
        }
        if !matches!(method, "GET" | "HEAD") {
            return Err(Response::plain(405, "only GET and HEAD are supported\n"));
        }
        let path = target.split('?').next().unwrap_or_default().to_owned();
        Ok(Self { path, accept: accept.join(","), agent, address: None, head: method == "HEAD" })
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status: 200, 404, ...
    pub status: u16,
    /// What the body is.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
    /// What is told to the [`Service`] when the client has the answer.
    pub receipt: Option<u64>,
}

/// What answers requests.
pub trait Service {
    /// Returns the answer to `request`.
    fn answer(&mut self, request: &Request) -> Response;

    /// The client has the answer to `request`, with this `receipt`: all of it was sent, and the client has not aborted the connection.
    fn delivered(&mut self, request: &Request, receipt: u64) {
        let _ = (request, receipt);
    }
}

impl<F: FnMut(&Request) -> Response> Service for F {
    fn answer(&mut self, request: &Request) -> Response {
        self(request)
    }
}

impl Response {
    /// A text for people.
    pub fn plain(status: u16, body: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.into(), receipt: None }
    }

    fn bytes(&self, without_body: bool) -> Vec<u8> {
        let reason = match self.status {
            200 => "OK",
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            431 => "Request Header Fields Too Large",
            503 => "Service Unavailable",
            _ => "",
        };
        let allow = if self.status == 405 { "Allow: GET, HEAD\r\n" } else { "" };
        let mut text = format!(
            "HTTP/1.1 {} {reason}\r\nContent-Type: {}\r\nContent-Length: {}\r\n{allow}Connection: close\r\n\r\n",
            self.status,
            self.content_type,
            self.body.len(),
        );
        if !without_body {
            text.push_str(&self.body);
        }
        text.into_bytes()
    }
}

enum State {
    /// What has come of the request.
    Asking(Vec<u8>),
    /// The answer, and how much of it has gone.
    Taking(Vec<u8>, usize),
    /// All is said. Hanging up before the client does could cost it what it has not read yet.
    Leaving,
}

struct Connection {
    stream: TcpStream,
    state: State,
    until: Instant,
    // To be told when the client has the answer.
    receipt: Option<(Request, u64)>,
}

impl Connection {
    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream, state: State::Asking(Vec::new()), until: Instant::now() + TO_ASK, receipt: None })
    }

    fn awaits(&self) -> PollFlags {
        match self.state {
            State::Asking(_) | State::Leaving => PollFlags::POLLIN,
            State::Taking(..) => PollFlags::POLLOUT,
        }
    }

    /// Goes on, if it is `ready`, as far as it can without waiting. Says whether there is more to come.
    fn tend(&mut self, ready: bool, service: &mut impl Service) -> bool {
        // Who ends in any other way than by what is expected has gone.
        let done = if ready { self.go_on(service) } else { Ok(true) };
        let late = Instant::now() >= self.until;
        let more = matches!(done, Ok(true)) && !late;
        // (A client that does not hang up may have been content for a second.)
        if !more && done.is_ok() && matches!(self.state, State::Leaving) {
            if let Some((request, receipt)) = self.receipt.take() {
                service.delivered(&request, receipt);
            }
        }
        more
    }

    fn go_on(&mut self, service: &mut impl Service) -> io::Result<bool> {
        if let State::Asking(text) = &mut self.state {
            let Some((bytes, receipt)) = ask(&mut self.stream, text, service)? else {
                return Ok(true);
            };
            self.receipt = receipt;
            self.state = State::Taking(bytes, 0);
            self.until = Instant::now() + TO_TAKE;
        }
        if let State::Taking(bytes, done) = &mut self.state {
            while let Some(rest) = bytes.get(*done..).filter(|rest| !rest.is_empty()) {
                *done += match self.stream.write(rest) {
                    Ok(0) => return Ok(false),
                    Ok(written) => written,
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
                    Err(e) => return Err(e),
                };
            }
            self.stream.shutdown(Shutdown::Write)?;
            self.state = State::Leaving;
            self.until = Instant::now() + TO_LEAVE;
        }
        match self.stream.read(&mut [0; 4096]) {
            Ok(read) => Ok(read > 0),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(true),
            Err(e) => Err(e),
        }
    }
}

/// An answer, and what is to be told when the client has it.
type Answer = (Vec<u8>, Option<(Request, u64)>);

/// Reads what has come of a request, and gives the answer if it is complete.
fn ask(stream: &mut TcpStream, text: &mut Vec<u8>, service: &mut impl Service) -> io::Result<Option<Answer>> {
    let mut buffer = [0; 4096];
    loop {
        let read = match stream.read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        let old = text.len();
        text.extend_from_slice(buffer.get(..read).unwrap_or_default());
        if let Some(head) = head(text, old) {
            return Ok(Some(match Request::parse(head) {
                Ok(mut request) => {
                    request.address = stream.peer_addr().ok().map(|peer| peer.ip().to_canonical());
                    let response = service.answer(&request);
                    let bytes = response.bytes(request.head);
                    // (A head says nothing of what would be in the body.)
                    (bytes, response.receipt.filter(|_| !request.head).map(|receipt| (request, receipt)))
                }
                Err(response) => (response.bytes(false), None),
            }));
        }
        if text.len() > LONGEST_HEAD {
            return Ok(Some((Response::plain(431, "the request is too long\n").bytes(false), None)));
        }
    }
}

/// What is before the first empty line, if there is one. Its end is not within the first `old` bytes.
fn head(text: &[u8], old: usize) -> Option<&[u8]> {
    let from = old.saturating_sub(3);
    let new = text.get(from..)?;
    let end = |mark: &[u8]| new.windows(mark.len()).position(|window| window == mark).map(|end| from + end);
    let end = match (end(b"\r\n\r\n"), end(b"\n\n")) {
        (Some(a), Some(b)) => a.min(b),
        (a, b) => a.or(b)?,
    };
    text.get(..end)
}

/// Serves what comes to any of `listeners` until it is told to stop. Answers are made one at a time.
pub fn serve(listeners: &[TcpListener], stop: &Stop, service: &mut impl Service) -> Result<(), Failure> {
    let failed = |e: io::Error| Failure::other("cannot serve HTTP requests", e);
    listeners.iter().try_for_each(|listener| listener.set_nonblocking(true)).map_err(failed)?;
    let mut connections: Vec<Connection> = Vec::new();
    let look = PollTimeout::try_from(LOOK).unwrap_or(PollTimeout::ZERO);
    while !stop.asked() {
        let mut fds: Vec<PollFd<'_>> =
            listeners.iter().map(|listener| PollFd::new(listener.as_fd(), PollFlags::POLLIN)).collect();
        fds.extend(connections.iter().map(|c| PollFd::new(c.stream.as_fd(), c.awaits())));
        match nix::poll::poll(&mut fds, look) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(failed(e.into())),
        }
        let mut ready = fds.iter().map(|fd| fd.any() == Some(true)).collect::<Vec<_>>().into_iter();
        let come: Vec<&TcpListener> = listeners.iter().filter(|_| ready.next() == Some(true)).collect();
        connections.retain_mut(|connection| connection.tend(ready.next() == Some(true), service));
        for listener in come {
            accept(listener, &mut connections);
        }
    }
    Ok(())
}

fn accept(listener: &TcpListener, connections: &mut Vec<Connection>) {
    // So many at a time: who has connected already has precedence.
    for _ in 0..8 {
        match listener.accept().and_then(|(stream, _)| Connection::new(stream)) {
            Ok(connection) => {
                if connections.len() >= CONNECTIONS {
                    connections.remove(0);
                }
                connections.push(connection);
            }
            Err(e) => match e.kind() {
                io::ErrorKind::WouldBlock => return,
                io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                // Out of file descriptors or memory: not for ever, but retrying at once would only cost CPU time.
                _ => {
                    connections.drain(..connections.len().min(1));
                    std::thread::sleep(LOOK);
                    return;
                }
            },
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Request, u16> {
        Request::parse(head(text.as_bytes(), 0).unwrap()).map_err(|response| response.status)
    }

    #[test]
    fn requests() {
        let request = |path: &str, accept: &str, head| {
            let (path, accept, agent) = (path.to_owned(), accept.to_owned(), String::new());
            Ok(Request { path, accept, agent, address: None, head })
        };
        assert_eq!(parse("GET /metrics HTTP/1.1\r\nHost: a:1\r\n\r\n"), request("/metrics", "", false));
        assert_eq!(parse("HEAD /metrics?a=/b HTTP/1.0\n\nmore"), request("/metrics", "", true));
        assert_eq!(
            parse("GET / HTTP/1.1\r\nACCEPT: a;q=1 \r\nX: y: z\r\naccept:b\r\n\r\n"),
            request("/", "a;q=1,b", false)
        );
        let text = "GET / HTTP/1.1\r\nUser-agent:  Prometheus/3.5 \r\n\r\n";
        assert_eq!(parse(text).unwrap().agent, "Prometheus/3.5");
        assert_eq!(parse("POST /metrics HTTP/1.1\r\nContent-Length: 2\r\n\r\nab"), Err(405));
        for bad in [
            "\r\n\r\n",
            "GET\r\n\r\n",
            "GET /\r\n\r\n",
            "GET / HTTP/2\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET http://host/metrics HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nno header\r\n\r\n",
            "GET / HTTP/1.1 more\r\n\r\n",
        ] {
            assert_eq!(parse(bad), Err(400), "{bad:?}");
        }
        assert_eq!(Request::parse(b"GET /\xff HTTP/1.1").unwrap_err().status, 400);
        assert_eq!(head(b"GET / HTTP/1.1\r\n", 0), None);
        assert_eq!(head(b"", 0), None);
        for old in 0..5 {
            assert_eq!(head(b"a\r\n\r\nb", old), Some(&b"a"[..]));
        }
    }

    #[test]
    fn answers() {
        let response = Response::plain(405, "no\n");
        assert_eq!(
            String::from_utf8(response.bytes(false)).unwrap(),
            "HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\n\
             Allow: GET, HEAD\r\nConnection: close\r\n\r\nno\n"
        );
        assert!(response.bytes(true).ends_with(b"\r\n\r\n"));
    }

    /// A server that answers with its path and a long text, and what stops it.
    fn serving(test: impl FnOnce(std::net::SocketAddr)) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Stop::default();
        let other = stop.clone();
        let server = std::thread::spawn(move || {
            let text = "x".repeat(8 << 20);
            let mut answer = |request: &Request| {
                assert_eq!(request.address, Some(std::net::IpAddr::from([127, 0, 0, 1])));
                Response::plain(200, format!("{} {text}", request.path))
            };
            serve(&[listener], &other, &mut answer).unwrap();
        });
        test(address);
        stop.ask();
        server.join().unwrap();
    }

    fn ask_for(address: std::net::SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn silent_and_slow_clients_stop_nobody() {
        serving(|address| {
            // Those who say nothing, who say half, who never read, and who have gone again at once.
            let mut others = Vec::new();
            for i in 0..3 * CONNECTIONS {
                let mut stream = TcpStream::connect(address).unwrap();
                let text: &[u8] = match i % 4 {
                    0 => b"",
                    1 => b"GET /half HT",
                    _ => b"GET /unread HTTP/1.1\r\n\r\n",
                };
                let _ = stream.write_all(text);
                if i % 4 != 3 {
                    others.push(stream);
                }
                if i % 40 == 0 {
                    let text = ask_for(address, "GET /served HTTP/1.1\r\n\r\n");
                    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{}", text.get(..20).unwrap_or(&text));
                    assert!(text.contains("/served xxx") && text.len() > 8 << 20);
                }
            }
        });
    }

    #[test]
    fn a_request_in_pieces_and_one_without_end() {
        serving(|address| {
            let mut stream = TcpStream::connect(address).unwrap();
            for piece in ["GE", "T /piece", "s HTTP/1.1\r", "\n\r", "\n"] {
                stream.write_all(piece.as_bytes()).unwrap();
                std::thread::sleep(Duration::from_millis(5));
            }
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            assert!(text.contains("/pieces xxx"));
            let mut stream = TcpStream::connect(address).unwrap();
            // (It hangs up before it has read all of that.)
            let _ = stream.write_all("GET / HTTP/1.1\r\nX: ".as_bytes());
            let _ = stream.write_all(&vec![b'a'; LONGEST_HEAD]);
            let mut text = [0; 12];
            stream.read_exact(&mut text).unwrap();
            assert_eq!(&text, b"HTTP/1.1 431");
        });
    }

    /// A service that answers with a text, and notes the receipts.
    struct Noting(String, std::sync::mpsc::Sender<(String, u64)>);

    impl Service for Noting {
        fn answer(&mut self, request: &Request) -> Response {
            Response {
                receipt: Some(self.0.len() as u64),
                ..Response::plain(200, format!("{} {}", request.path, self.0))
            }
        }

        fn delivered(&mut self, request: &Request, receipt: u64) {
            self.1.send((request.path.clone(), receipt)).unwrap();
        }
    }

    #[test]
    fn receipts_of_those_who_have_the_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Stop::default();
        let other = stop.clone();
        let (sender, receipts) = std::sync::mpsc::channel();
        let length = 8 << 20;
        let server = std::thread::spawn(move || {
            serve(&[listener], &other, &mut Noting("x".repeat(length), sender)).unwrap();
        });
        let receipt = || receipts.recv_timeout(Duration::from_secs(60)).unwrap();
        // One that hangs up before it has read all, and one that asks for none of it.
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /early HTTP/1.1\r\n\r\n").unwrap();
        stream.read_exact(&mut [0; 100]).unwrap();
        drop(stream);
        ask_for(address, "HEAD /head HTTP/1.1\r\n\r\n");
        // One that hangs up at the end, and one that stays for a while.
        ask_for(address, "GET /all HTTP/1.1\r\n\r\n");
        assert_eq!(receipt(), ("/all".to_owned(), length as u64));
        let mut stays = TcpStream::connect(address).unwrap();
        stays.write_all(b"GET /stays HTTP/1.1\r\n\r\n").unwrap();
        stays.read_to_string(&mut String::new()).unwrap();
        assert_eq!(receipt().0, "/stays");
        stop.ask();
        server.join().unwrap();
        assert!(receipts.try_recv().is_err(), "of the others, too");
    }
}
