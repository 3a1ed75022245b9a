//! Messages with random changes: no panic, no claim to bytes that are not there, and what is whole is taken whole.
//! Two seconds a run; `OCHRE_FUZZ_SECONDS` and `OCHRE_FUZZ_SEED` say otherwise.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ochre_pgwire::{Decoded, Frontend, MAX_MESSAGE_BYTES, Startup, decode, decode_startup};

/// A small generator; good enough to pick places.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

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
    let seconds = std::env::var("OCHRE_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(2);
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_nanos() as u64);
    // A short run is the same every time; a long one looks for what is new.
    let usual = if std::env::var_os("OCHRE_FUZZ_SECONDS").is_some() { clock } else { 1 };
    let seed = std::env::var("OCHRE_FUZZ_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(usual);
    let mut random = Random(seed | 1);
    let (messages, packets) = (messages(), packets());
    messages.iter().chain(&packets).for_each(|bytes| check(bytes));
    let start = Instant::now();
    let mut count = 0u64;
    while start.elapsed() < Duration::from_secs(seconds) {
        for _ in 0..1000 {
            let of = if random.below(4) == 0 { &packets } else { &messages };
            let mut bytes = of[random.below(of.len())].clone();
            if random.below(3) == 0 {
                bytes.extend_from_slice(&messages[random.below(messages.len())]);
            }
            let bytes = mutate(&mut random, bytes);
            if let Err(panic) = std::panic::catch_unwind(|| check(&bytes)) {
                eprintln!("seed {seed}, message {count}: {bytes:?}");
                std::panic::resume_unwind(panic);
            }
            count += 1;
        }
    }
    println!("{count} messages, seed {seed}");
}
