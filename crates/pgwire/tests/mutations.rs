//! Messages with random changes: no panic, no claim to bytes that are not there, and what is whole is taken whole.

use ochre_fuzzing::{Campaign, Random};
use ochre_pgwire::{Decoded, Frontend, MAX_MESSAGE_BYTES, Startup, decode, decode_startup};

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

fn packet(body: &[u8]) -> Vec<u8> {
    let mut bytes = (body.len() as u32 + 4).to_be_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes
}

/// One message of each kind as clients send them.
fn messages() -> Vec<Vec<u8>> {
    vec![
        message(b'Q', b"select 1\0"),
        message(b'P', b"s\0select $1, $2\0\0\x02\0\0\0\x17\0\0\0\x19"),
        message(b'B', b"p\0s\0\0\x02\0\x01\0\0\0\x02\0\0\0\x04\0\0\0\x07\xff\xff\xff\xff\0\x01\0\x01"),
        message(b'D', b"Ss\0"),
        message(b'D', b"Pp\0"),
        message(b'E', b"p\0\0\0\0\x05"),
        message(b'C', b"Ss\0"),
        message(b'H', b""),
        message(b'S', b""),
        message(b'd', b"1\ttext\n"),
        message(b'c', b""),
        message(b'f', b"no more\0"),
        message(b'p', b"password\0"),
        message(b'F', b"\0\0\x04\xd2\0\0\0\0\0\0"),
        message(b'X', b""),
    ]
}

fn packets() -> Vec<Vec<u8>> {
    vec![
        packet(b"\0\x03\0\0user\0postgres\0database\0postgres\0options\0-c work_mem=1MB\0\0"),
        packet(b"\0\x03\0\x02user\0u\0_pq_.x\x001\0\0"),
        packet(b"\x04\xd2\x16\x2f"),
        packet(b"\x04\xd2\x16\x30"),
        packet(b"\x04\xd2\x16\x2e\0\0\x03\xe9abcd"),
    ]
}

fn mutate(random: &mut Random, mut bytes: Vec<u8>) -> Vec<u8> {
    for _ in 0..random.below(4) {
        let at = random.below(bytes.len());
        match random.below(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            2 => bytes.insert(at, random.below(256) as u8),
            3 if !bytes.is_empty() => drop(bytes.remove(at)),
            4 => bytes.truncate(at),
            _ => {
                let tail = bytes[at.min(bytes.len())..].to_vec();
                bytes.extend_from_slice(&tail);
            }
        }
    }
    bytes
}

fn check(bytes: &[u8]) {
    match decode(bytes, MAX_MESSAGE_BYTES) {
        Ok(Decoded::Message(message, used)) => {
            assert!(used <= bytes.len() && used >= 5);
            assert_eq!(used, 1 + u32::from_be_bytes(bytes[1..5].try_into().unwrap()) as usize);
            if let Frontend::Bind(bind) = &message {
                assert_eq!(bind.values().count(), bind.parameter_count);
                (0..bind.parameter_count).for_each(|i| drop(bind.parameter_formats.format(i)));
            }
            // Fewer bytes are never another message.
            assert!(matches!(decode(&bytes[..used - 1], MAX_MESSAGE_BYTES), Ok(Decoded::NeedMore(_))));
        }
        Ok(Decoded::NeedMore(wanted)) => assert!(wanted > bytes.len() && wanted <= MAX_MESSAGE_BYTES + 1),
        Err(error) => assert!(!error.message.is_empty()),
    }
    match decode_startup(bytes) {
        Ok(Decoded::Message(startup, used)) => {
            assert!(used <= bytes.len());
            if let Startup::Start(parameters) = startup {
                assert!(parameters.parameters.iter().all(|(name, _)| !name.is_empty()));
            }
        }
        Ok(Decoded::NeedMore(wanted)) => assert!(wanted > bytes.len() && wanted < 100_000),
        Err(error) => assert!(!error.message.is_empty()),
    }
}

#[test]
fn changed_messages_never_panic() {
    let (messages, packets) = (messages(), packets());
    messages.iter().chain(&packets).for_each(|bytes| check(bytes));
    let make = |random: &mut Random| {
        let of = if random.below(4) == 0 { &packets } else { &messages };
        let mut bytes = random.pick(of).clone();
        if random.below(3) == 0 {
            bytes.extend_from_slice(random.pick::<Vec<u8>>(&messages));
        }
        mutate(random, bytes)
    };
    Campaign::new(500_000).run(make, |bytes| check(bytes));
}
