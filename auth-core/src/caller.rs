//! Who asks, and what comes with every request besides its operation.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use crate::idempotency::IdempotencyKey;
use crate::operation::Executed;

/// What a request brings along besides its query.
pub struct Caller {
    /// The token of `Authorization: Bearer`, unverified.
    pub bearer: Option<String>,
    /// The `Idempotency-Key`, with the request it belongs to.
    pub idempotency_key: Option<IdempotencyKey>,
    /// Where it comes from: the gateway's word for it, else the other end of the connection.
    pub address: IpAddr,
    /// Who shares the hashes with others.
    pub client: Client,
    /// What was done for the request.
    pub executed: Arc<Executed>,
}

/// Who a request comes from, as far as fairness goes: an IPv4 address, or an IPv6 network of 64 bits, of which one
/// household has a whole one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Client(IpAddr);

/// The address that the gateway names in `X-Forwarded-For`, else the one at the other end of the connection.
///
/// The last address counts, for it is the nearest proxy's own. It decides about fairness and is written down, and no more:
/// whoever reaches a node past its gateway can make up any.
pub fn address(forwarded_for: Option<&str>, peer: IpAddr) -> IpAddr {
    let named = forwarded_for.and_then(|list| list.rsplit(',').next()?.trim().parse().ok());
    named.unwrap_or(peer).to_canonical()
}

impl Client {
    /// The client at an address.
    pub fn at(address: IpAddr) -> Self {
        Self(match address {
            IpAddr::V6(address) => {
                let network = address.to_bits() >> 64 << 64;
                Ipv6Addr::from_bits(network).into()
            }
            address => address,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(forwarded_for: Option<&str>) -> String {
        Client::at(address(forwarded_for, IpAddr::from([192, 0, 2, 9])))
            .0
            .to_string()
    }

    #[test]
    fn the_nearest_proxy_says_who_the_client_is_and_the_connection_where_none_does() {
        assert_eq!(client(Some("203.0.113.1, 198.51.100.2")), "198.51.100.2");
        for nobody in [None, Some(""), Some("unknown"), Some("1.2.3.4, ")] {
            assert_eq!(client(nobody), "192.0.2.9", "{nobody:?}");
        }
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_client() {
        assert_eq!(client(Some("2001:db8:1:2:3:4:5:6")), "2001:db8:1:2::");
        assert_eq!(client(Some("2001:db8:1:2::")), "2001:db8:1:2::");
        assert_eq!(client(Some("2001:db8:1:3::1")), "2001:db8:1:3::");
        assert_eq!(client(Some("::ffff:198.51.100.2")), "198.51.100.2");
    }
}
