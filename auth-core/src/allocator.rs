//! The memory that a hash fills comes in huge pages, and goes back to the system when the hash ends.
//!
//! scrypt takes its 128 MiB anew for each hash. From glibc they are 32,000 pages of the kernel's, one page fault each: a
//! quarter of the time of a hash. And of smaller hashes glibc keeps what they have used, some for each thread.

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// What jemalloc is told, in the words of `man jemalloc`. The variable `_RJEM_MALLOC_CONF` changes it.
///
/// - `thp`: what is taken from the system is to be in huge pages.
/// - `retain:false`: each block is mapped by itself, and unmapped. So blocks of megabytes are in huge pages, and small
///   ones, of which no two megabytes come at once, are not.
/// - `narenas`, `dirty_decay_ms`, `muzzy_decay_ms`: nothing that is free is kept, for any thread.
const OPTIONS: &str = "thp:always,retain:false,narenas:1,dirty_decay_ms:0,muzzy_decay_ms:0\0";

/// jemalloc looks for a C string under this name.
#[allow(
    unsafe_code,
    reason = "the name is jemalloc's, and nothing else's in this program"
)]
#[unsafe(export_name = "_rjem_malloc_conf")]
static MALLOC_CONF: &[u8; OPTIONS.len()] = OPTIONS.as_bytes().first_chunk().unwrap();
