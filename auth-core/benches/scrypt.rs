//! Which scrypt is the fastest: RustCrypto's, aws-lc's, and OpenSSL's with `--features bench-openssl`.
//!
//! All of them with OWASP's first choice of parameters, one hash at a time on one core.

// aws-lc's scrypt has no safe interface.
#![allow(unsafe_code)]

#[path = "shared/figure.rs"]
mod figure;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode};

const LOG_N: u8 = 17;
const R: u32 = 8;
const P: u32 = 1;

const PASSWORD: &[u8] = b"correct horse battery";
const SALT: &[u8] = b"sixteen bytes ok";

/// More than the memory that these parameters need, which the C libraries want to be told.
const MOST_MEMORY: usize = 256 << 20;

const ROUNDS: usize = 10;

type Hash = [u8; 32];
type Candidate = (&'static str, fn() -> Hash);

const CANDIDATES: &[Candidate] = &[
    ("RustCrypto", rust_crypto),
    ("aws-lc", aws_lc),
    #[cfg(feature = "bench-openssl")]
    ("OpenSSL", openssl),
];

fn rust_crypto() -> Hash {
    let mut hash = Hash::default();
    let params = scrypt::Params::new(LOG_N, R, P).unwrap();
    scrypt::scrypt(black_box(PASSWORD), SALT, &params, &mut hash).unwrap();
    hash
}

fn aws_lc() -> Hash {
    let mut hash = Hash::default();
    let password = black_box(PASSWORD);
    // SAFETY: each pointer comes with the length of what it points to.
    let done = unsafe {
        aws_lc_sys::EVP_PBE_scrypt(
            password.as_ptr().cast(),
            password.len(),
            SALT.as_ptr(),
            SALT.len(),
            1 << LOG_N,
            R.into(),
            P.into(),
            MOST_MEMORY,
            hash.as_mut_ptr(),
            hash.len(),
        )
    };
    assert_eq!(done, 1);
    hash
}

#[cfg(feature = "bench-openssl")]
fn openssl() -> Hash {
    let mut hash = Hash::default();
    let most = MOST_MEMORY as u64;
    openssl::pkcs5::scrypt(
        black_box(PASSWORD),
        SALT,
        1 << LOG_N,
        R.into(),
        P.into(),
        most,
        &mut hash,
    )
    .unwrap();
    hash
}

/// Takes turns, so that what else the machine does falls on all of them.
fn side_by_side() {
    let mut best = vec![Duration::MAX; CANDIDATES.len()];
    for _ in 0..ROUNDS {
        for (best, (_, hash)) in best.iter_mut().zip(CANDIDATES) {
            let started = Instant::now();
            black_box(hash());
            *best = started.elapsed().min(*best);
        }
    }
    let ours = best[0];
    for ((name, _), best) in CANDIDATES.iter().zip(best) {
        let ratio = best.as_secs_f64() / ours.as_secs_f64();
        println!(
            "scrypt: {name} takes {} ms, {ratio:.2} times what {} takes",
            best.as_millis(),
            CANDIDATES[0].0
        );
        if *name != CANDIDATES[0].0 {
            figure::ratio(&format!("scrypt_{name}"), ratio);
        }
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(1))
        .configure_from_args();
    let mut group = criterion.benchmark_group("scrypt");
    group.sampling_mode(SamplingMode::Flat);
    for (name, hash) in CANDIDATES {
        assert_eq!(hash(), rust_crypto(), "{name} computes another function");
        group.bench_function(*name, |bencher| bencher.iter(hash));
    }
    group.finish();
    side_by_side();
    criterion.final_summary();
}
