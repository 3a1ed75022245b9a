//! `inet`, `cidr` and `macaddr`.
//!
//! # On-disk layout
//! An address: family (4 or 6), its network with host bits cleared (4 or 16 bytes), the mask's bits, the whole address
//! (4 or 16 bytes): memcmp order is SQL's order. A `macaddr` is its six bytes.
//!
//! # Not done
//! Hexadecimal `cidr` text (`0x0a`).

use std::net::{Ipv4Addr, Ipv6Addr};

use ochre_base::{Error, Result, SqlState};

use super::{invalid_syntax, print_u64};

/// PostgreSQL's numbers of the families on the wire.
const WIRE_IPV4: u8 = 2;
const WIRE_IPV6: u8 = 3;

/// An address with its mask.
struct Network<'a> {
    address: &'a [u8],
    bits: u8,
}

fn masked(address: &[u8], bits: u8) -> Vec<u8> {
    let keep = |index: usize| match usize::from(bits).saturating_sub(index * 8) {
        0 => 0,
        left @ 1..8 => 0xFFu8 << (8 - left),
        _ => 0xFF,
    };
    address.iter().enumerate().map(|(index, byte)| byte & keep(index)).collect()
}

fn to_bytes(address: &[u8], bits: u8) -> Vec<u8> {
    let mut bytes = vec![if address.len() == 4 { 4 } else { 6 }];
    bytes.extend(masked(address, bits));
    bytes.push(bits);
    bytes.extend_from_slice(address);
    bytes
}

fn from_bytes(bytes: &[u8]) -> Option<Network<'_>> {
    let size = match bytes.first()? {
        4 => 4,
        6 => 16,
        _ => return None,
    };
    Some(Network { bits: *bytes.get(1 + size)?, address: bytes.get(2 + size..).filter(|a| a.len() == size)? })
}

/// Reads `inet` or `cidr`.
pub(super) fn parse(text: &str, cidr: bool) -> Result<Vec<u8>> {
    let name = if cidr { "cidr" } else { "inet" };
    let invalid = || invalid_syntax(name, text);
    let (host, mask) = match text.split_once('/') {
        Some((host, mask)) => {
            let digits =
                !mask.is_empty() && mask.len() <= 3 && mask.bytes().all(|byte| byte.is_ascii_digit());
            (host, Some(mask.parse::<u8>().ok().filter(|_| digits).ok_or_else(invalid)?))
        }
        None => (text, None),
    };
    let (address, bits) = if host.contains(':') {
        let address: Ipv6Addr = host.parse().map_err(|_| invalid())?;
        (address.octets().to_vec(), mask.unwrap_or(128))
    } else {
        parse_v4(host, mask, cidr).ok_or_else(invalid)?
    };
    if usize::from(bits) > address.len() * 8 {
        return Err(invalid());
    }
    if cidr && masked(&address, bits) != address {
        return Err(Error::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("invalid cidr value: \"{text}\""),
        )
        .detail("Value has bits set to right of mask."));
    }
    Ok(to_bytes(&address, bits))
}

/// Four numbers; fewer where a mask (or, for `cidr`, the address's class) says how far the network goes.
fn parse_v4(host: &str, mask: Option<u8>, cidr: bool) -> Option<(Vec<u8>, u8)> {
    let number = |part: &str| {
        let digits = (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse::<u8>().ok()).flatten()
    };
    let mut address: Vec<u8> = host.split('.').map(number).collect::<Option<_>>()?;
    let given = address.len();
    if given > 4 {
        return None;
    }
    address.resize(4, 0);
    let bits = match mask {
        Some(bits) if given == 4 || cidr || given * 8 >= usize::from(bits) => bits,
        Some(_) => return None,
        None if given == 4 => 32,
        None if !cidr => return None,
        None => {
            let class: u8 = match address[0] {
                0..128 => 8,
                128..192 => 16,
                192..224 => 24,
                224..240 => 4,
                240.. => 32,
            };
            if given > 1 || class != 4 { class.max(given as u8 * 8) } else { class }
        }
    };
    Some((address, bits))
}

/// Appends the text; `inet` leaves out the mask of a single host.
pub(super) fn print(bytes: &[u8], cidr: bool, out: &mut Vec<u8>) {
    let Some(Network { address, bits }) = from_bytes(bytes) else { return };
    let single = usize::from(bits) == address.len() * 8;
    match (<[u8; 4]>::try_from(address), <[u8; 16]>::try_from(address)) {
        (Ok(octets), _) => out.extend_from_slice(Ipv4Addr::from(octets).to_string().as_bytes()),
        (_, Ok(octets)) => {
            let v6 = Ipv6Addr::from(octets);
            let segments = v6.segments();
            if segments[..6] == [0; 6] && segments[6] != 0 {
                // An IPv4 address in IPv6's clothes.
                let v4 = Ipv4Addr::new(octets[12], octets[13], octets[14], octets[15]);
                out.extend_from_slice(format!("::{v4}").as_bytes());
            } else {
                out.extend_from_slice(v6.to_string().as_bytes());
            }
        }
        _ => {}
    }
    if cidr || !single {
        out.push(b'/');
        print_u64(u64::from(bits), out);
    }
}

/// Reads the binary form: family, bits, whether it is a `cidr`, length, address.
pub(super) fn decode(bytes: &[u8], cidr: bool) -> Result<Vec<u8>> {
    let name = if cidr { "cidr" } else { "inet" };
    let bad = |what: &str| {
        Error::new(
            SqlState::INVALID_BINARY_REPRESENTATION,
            format!("invalid {what} in external \"{name}\" value"),
        )
    };
    let [family, bits, _, length, address @ ..] = bytes else { return Err(bad("length")) };
    let size = match *family {
        WIRE_IPV4 => 4,
        WIRE_IPV6 => 16,
        _ => return Err(bad("address family")),
    };
    if usize::from(*bits) > size * 8 {
        return Err(bad("bits"));
    }
    if usize::from(*length) != size || address.len() != size {
        return Err(bad("length"));
    }
    if cidr && masked(address, *bits) != address {
        return Err(bad("value").detail("Value has bits set to right of mask."));
    }
    Ok(to_bytes(address, *bits))
}

/// Appends the binary form.
pub(super) fn encode(bytes: &[u8], cidr: bool, out: &mut Vec<u8>) {
    let Some(Network { address, bits }) = from_bytes(bytes) else { return };
    let family = if address.len() == 4 { WIRE_IPV4 } else { WIRE_IPV6 };
    out.extend_from_slice(&[family, bits, u8::from(cidr), address.len() as u8]);
    out.extend_from_slice(address);
}

/// Reads a `macaddr`: six numbers with colons or hyphens, or twelve digits in groups.
pub(super) fn parse_mac(text: &str) -> Result<[u8; 6]> {
    let invalid = || invalid_syntax("macaddr", text);
    let body = text.trim_matches(crate::numeric::is_space);
    let parts: Vec<&str> = body.split([':', '-', '.']).collect();
    let hex = |part: &str| {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.then(|| u64::from_str_radix(part, 16).ok()).flatten()
    };
    let mut value = 0u64;
    match (parts.len(), parts.first().map(|part| part.len())) {
        (6, _) if !body.contains('.') => {
            for part in &parts {
                value = value << 8 | hex(part).filter(|byte| *byte <= 0xFF).ok_or_else(invalid)?;
            }
        }
        (2, Some(6)) | (3, Some(4)) | (1, Some(12)) => {
            let joined = parts.concat();
            let even = parts.iter().all(|part| part.len() == parts[0].len());
            value = hex(&joined).filter(|_| joined.len() == 12 && even).ok_or_else(invalid)?;
        }
        _ => return Err(invalid()),
    }
    let [_, _, address @ ..] = value.to_be_bytes();
    Ok(address)
}

/// Appends a `macaddr`'s text.
pub(super) fn print_mac(bytes: &[u8], out: &mut Vec<u8>) {
    for (index, byte) in bytes.iter().enumerate() {
        if index > 0 {
            out.push(b':');
        }
        out.extend_from_slice(format!("{byte:02x}").as_bytes());
    }
}
