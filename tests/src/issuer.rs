//! Who publishes keys, on this machine: a server of one text, which counts how often it is asked.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A server for as long as the process lives.
pub struct Issuer {
    /// `127.0.0.1:PORT`
    pub authority: String,
    answer: Arc<Mutex<(u16, String)>>,
    asked: Arc<AtomicUsize>,
}

impl Issuer {
    /// Answers with this status and text from now on.
    ///
    /// # Panics
    /// Where the system gives no port.
    pub fn new(status: u16, text: &str) -> Issuer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let answer = Arc::new(Mutex::new((status, text.to_owned())));
        let asked = Arc::new(AtomicUsize::new(0));
        let (own, count) = (Arc::clone(&answer), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                // The whole head: what is left unread at the end would reset the connection.
                let (mut head, mut part) = (Vec::new(), [0; 4096]);
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read(&mut part) {
                        Ok(0) | Err(_) => break,
                        Ok(length) => head.extend_from_slice(&part[..length]),
                    }
                }
                count.fetch_add(1, Ordering::SeqCst);
                let (status, text) = own.lock().unwrap().clone();
                let location = if status == 302 { format!("location: {text}\r\n") } else { String::new() };
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status} x\r\n{location}content-length: {}\r\nconnection: close\r\n\r\n{text}",
                    text.len()
                );
            }
        });
        Issuer { authority, answer, asked }
    }

    /// Answers otherwise.
    ///
    /// # Panics
    /// Never, but for the lock.
    pub fn answer(&self, status: u16, text: &str) {
        *self.answer.lock().unwrap() = (status, text.to_owned());
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// One GET: status and body.
pub fn get(authority: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(authority).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}
