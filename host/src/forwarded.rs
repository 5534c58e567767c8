//! For whom a request is sent on: the address of the client behind proxies that are trusted to tell it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use anyhow::{Context as _, Result};
use hyper::header::{FORWARDED, HeaderMap};
use ipnet::IpNet;

/// What stands for a Unix socket in `middleware.trusted_proxies`.
const UNIX: &str = "unix";

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// Who is believed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proxies {
    networks: Vec<IpNet>,
    unix: bool,
}

impl Proxies {
    /// Reads `middleware.trusted_proxies`.
    ///
    /// # Errors
    /// One sentence on what is neither a network, an address nor `unix`.
    pub fn new(trusted: &[String]) -> Result<Proxies> {
        let mut proxies = Proxies::default();
        for text in trusted {
            if text == UNIX {
                proxies.unix = true;
                continue;
            }
            let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            proxies.networks.push(network.with_context(|| {
                format!(
                    "middleware.trusted_proxies: `{text}` is no network; write \"10.0.0.0/8\", \"fd00::/8\", \"192.0.2.1\" or \"{UNIX}\""
                )
            })?);
        }
        Ok(proxies)
    }

    /// Whether nobody is believed.
    fn is_none(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// The client's address: that of the peer, or of the last one in front of it that is no trusted proxy. None for a client at the
    /// other end of a Unix socket.
    pub fn client(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        let is_proxy = match peer {
            _ if self.is_none() => false,
            Some(address) => self.trusts(address),
            None => self.unix,
        };
        if !is_proxy {
            return peer;
        }
        let for_field = self.last(peer, headers.get_all(X_FORWARDED_FOR).iter(), |item| Some(item));
        let forwarded = self.last(peer, headers.get_all(FORWARDED).iter(), for_of);
        match (for_field, forwarded) {
            (Some(one), Some(other)) if one != other => {
                // A proxy writes one of the fields. Which, is not known here, and a client can have written the other: neither counts.
                peer
            }
            (Some(address), _) | (None, Some(address)) => address,
            (None, None) => peer,
        }
    }

    /// The last address of a list that no trusted proxy has, or the first of all; of what is behind something that is no address,
    /// nothing is known. None where there is no such list.
    fn last<'a>(
        &self,
        peer: Option<IpAddr>,
        fields: impl DoubleEndedIterator<Item = &'a hyper::header::HeaderValue>,
        read: fn(&str) -> Option<&str>,
    ) -> Option<Option<IpAddr>> {
        let mut fields = fields.rev().peekable();
        fields.peek()?;
        let items = fields.flat_map(|field| field.to_str().unwrap_or_default().rsplit(','));
        let mut last = peer;
        for item in items {
            match read(item.trim()).and_then(address) {
                Some(address) if self.trusts(address) => last = Some(address),
                Some(address) => return Some(Some(address)),
                None => break,
            }
        }
        Some(last)
    }
}

/// What an item of `Forwarded` says of `for` (RFC 7239 section 4), without quotes.
fn for_of(item: &str) -> Option<&str> {
    let pairs = item.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    Some(value.trim().trim_matches('"'))
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

/// What counts as one client: an address of IPv4, or the network that a client of IPv6 has to itself (/64), in which it may have as many
/// addresses as it likes.
pub fn counted(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The client of a request from `peer` with these fields, where 10.0.0.0/8 is trusted.
    fn client(peer: &str, fields: &[(&'static str, &str)]) -> String {
        let proxies = Proxies::new(&["10.0.0.0/8".to_owned(), "fd00::1".to_owned()]).expect("networks");
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().expect("a value"));
        }
        let peer = peer.parse().ok();
        proxies.client(peer, &headers).map_or("none".to_owned(), |address| address.to_string())
    }

    #[test]
    fn the_last_that_is_no_proxy() {
        let x = X_FORWARDED_FOR;
        assert_eq!(client("192.0.2.9", &[(x, "1.1.1.1")]), "192.0.2.9", "a stranger is not believed");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[(x, "1.1.1.1")]), "1.1.1.1");
        assert_eq!(
            client("10.0.0.1", &[(x, "6.6.6.6, 1.1.1.1, 10.2.3.4")]),
            "1.1.1.1",
            "the client wrote 6.6.6.6"
        );
        assert_eq!(client("10.0.0.1", &[(x, "6.6.6.6"), (x, "1.1.1.1")]), "1.1.1.1");
        assert_eq!(client("10.0.0.1", &[(x, "10.9.9.9, 10.2.3.4")]), "10.9.9.9", "one of the inside");
        assert_eq!(client("10.0.0.1", &[(x, "1.1.1.1:4711")]), "1.1.1.1");
        assert_eq!(client("fd00::1", &[(x, "2001:db8::1")]), "2001:db8::1");
        assert_eq!(client("10.0.0.1", &[(x, "::ffff:1.1.1.1")]), "1.1.1.1");
        assert_eq!(client("10.0.0.1", &[(x, "1.1.1.1, unknown, 10.2.3.4")]), "10.2.3.4");
        assert_eq!(client("10.0.0.1", &[(x, "")]), "10.0.0.1");
        assert_eq!(client("unix", &[(x, "1.1.1.1")]), "none", "the socket is not trusted");
        let unix = Proxies::new(&[UNIX.to_owned()]).expect("a network");
        let headers = HeaderMap::from_iter([(
            hyper::header::HeaderName::from_static(X_FORWARDED_FOR),
            hyper::header::HeaderValue::from_static("1.1.1.1"),
        )]);
        assert_eq!(unix.client(None, &headers), Some(IpAddr::from([1, 1, 1, 1])));
    }

    #[test]
    fn forwarded() {
        let f = "forwarded";
        assert_eq!(client("10.0.0.1", &[(f, "for=1.1.1.1;proto=https")]), "1.1.1.1");
        assert_eq!(
            client("10.0.0.1", &[(f, "for=6.6.6.6, proto=http; For=\"[2001:db8::1]:4711\" ,for=10.2.3.4")]),
            "2001:db8::1"
        );
        assert_eq!(client("10.0.0.1", &[(f, "for=_hidden, for=10.2.3.4")]), "10.2.3.4");
        assert_eq!(client("10.0.0.1", &[(f, "proto=https")]), "10.0.0.1");
        let both = |one: &str, other: &str| client("10.0.0.1", &[(X_FORWARDED_FOR, one), (f, other)]);
        assert_eq!(both("1.1.1.1", "for=1.1.1.1"), "1.1.1.1");
        assert_eq!(both("1.1.1.1", "for=6.6.6.6"), "10.0.0.1", "one of them is the client's own");
    }

    #[test]
    fn a_client_of_ipv6_is_its_network() {
        let is = |text: &str| counted(text.parse().expect("an address")).to_string();
        assert_eq!(is("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(is("192.0.2.1"), "192.0.2.1");
        let error = Proxies::new(&["10.0.0.0/33".to_owned()]).expect_err("no network").to_string();
        assert!(error.contains("`10.0.0.0/33` is no network"), "{error}");
    }
}
